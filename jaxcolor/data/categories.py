"""CIFAR-10's categories, in the order of its labels."""

from typing import Literal, get_args

Category = Literal["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CATEGORIES: tuple[str, ...] = get_args(Category)
