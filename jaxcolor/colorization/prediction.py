"""The palette indices of many images, a batch at a time."""

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxcolor.colorization.task import predict
from jaxcolor.training.compilation import jit
from jaxcolor.training.state import TrainState


class Predictor:
    """The compiled prediction, one program for all batches of a size."""

    def __init__(self) -> None:
        self._predict = jit(predict)

    def __call__(
        self, state: TrainState, inputs: Float[Array, "n height width channel"], batch_size: int = 100
    ) -> UInt8[np.ndarray, "n height width"]:
        """The likeliest color of each pixel of all images."""
        batches = -(-len(inputs) // batch_size)
        # The last batch is filled up with the first images.
        indices = np.arange(batches * batch_size).reshape(batches, batch_size) % len(inputs)
        found = [self._predict(state, inputs[rows]) for rows in indices]
        return np.concatenate(jax.device_get(found))[: len(inputs)]
