"""Benchmarks of jaxcolor beside the plain PyTorch programs: equal numbers, speed and memory."""
