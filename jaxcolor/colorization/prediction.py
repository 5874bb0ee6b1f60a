"""The palette indices of many pictures, a batch at a time."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxcolor.colorization.task import predict
from jaxcolor.training.compilation import jit
from jaxcolor.training.state import TrainState

Inputs = Float[Array, "n height width channel"]


class Predictor:
    """The compiled prediction, one program for all batches of a size."""

    def __init__(self) -> None:
        self._predict = jit(predict)

    def __call__(
        self, state: TrainState, inputs: Inputs, batch_size: int = 100
    ) -> UInt8[np.ndarray, "n height width"]:
        """The likeliest colour of each pixel of all pictures."""
        found = [
            self._predict(state, _filled(inputs[start : start + batch_size], batch_size))
            for start in range(0, len(inputs), batch_size)
        ]
        return np.concatenate(jax.device_get(found))[: len(inputs)]


def _filled(inputs: Inputs, batch_size: int) -> Float[Array, "{batch_size} height width channel"]:
    """As many pictures as a batch has, the last ones black."""
    return jnp.pad(inputs, ((0, batch_size - len(inputs)), (0, 0), (0, 0), (0, 0)))
