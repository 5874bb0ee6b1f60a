"""What the product runs, in one place: how it compiles a step and sets up its process."""

from collections.abc import Callable
from typing import Any

import jax

from jaxcolor.colorization.task import predict_pictures

__all__ = ["jit", "predict_pictures", "prepare"]


def jit(function: Callable[..., Any], **options: Any) -> Any:
    return jax.jit(function, **options)


def prepare() -> None:
    pass
