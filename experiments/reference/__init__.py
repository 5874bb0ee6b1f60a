"""The yardstick, not the product: the assignment as plain PyTorch programs, and their weights as ours.

Needs the extra `reference`. Nothing else in jaxcolor imports it, but for the benchmark.
"""
