"""The palette indices of many pictures, a batch at a time."""

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxcolor.colorization.task import predict
from jaxcolor.training.batches import make_batches
from jaxcolor.training.compilation import jit
from jaxcolor.training.state import TrainState


class Predictor:
    """The compiled prediction."""

    def __init__(self) -> None:
        self._predict = jit(lambda state, inputs, indices: predict(state, inputs[indices]))

    def __call__(
        self, state: TrainState, inputs: Float[Array, "n height width channel"], batch_size: int = 100
    ) -> UInt8[np.ndarray, "n height width"]:
        """The likeliest colour of each pixel of all pictures."""
        batches = make_batches(np.arange(len(inputs)), batch_size).indices
        found = [self._predict(state, inputs, indices) for indices in batches]
        return np.concatenate(jax.device_get(found))[: len(inputs)]
