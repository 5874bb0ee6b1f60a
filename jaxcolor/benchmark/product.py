"""What the product runs, in one place: compiling a step, and prediction from pictures to pictures."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcolor.colorization.preprocess import network_input
from jaxcolor.colorization.task import predict


def jit(function: Callable[..., Any], **options: Any) -> Any:
    return jax.jit(function, **options)


def prepare() -> None:
    pass


def predict_pictures(state: Any, pictures: jax.Array, palette: jax.Array) -> jax.Array:
    labels = predict(state, network_input(pictures, downsize_input=False))
    return jnp.round(palette * 256).astype(jnp.uint8)[labels]
