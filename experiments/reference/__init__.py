"""The assignment as plain PyTorch programs, which jaxcolor is compared with. Needs the extra `reference`."""
