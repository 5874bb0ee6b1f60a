"""Pretrained weights: PyTorch's files read without PyTorch, and its names as ours."""
