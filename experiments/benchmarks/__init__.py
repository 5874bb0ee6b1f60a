"""Speed, memory and numbers of jaxcolor beside those of the plain PyTorch program."""
