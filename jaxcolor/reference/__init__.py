"""The yardstick, not the product: part A as a plain PyTorch program, and its weights as ours.

Needs the extra `reference`. Nothing else in jaxcolor imports it, but for the benchmark.
"""
