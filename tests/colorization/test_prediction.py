import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.colorization.prediction import Predictor
from jaxcolor.layers import write_out
from jaxcolor.models.unet import CNN
from jaxcolor.training.state import initialize


@pytest.mark.parametrize("batch_size", [3, 7, 100])
def test_all_images_in_their_order(batch_size: int) -> None:
    inputs = jax.random.uniform(jax.random.key(0), (7, 8, 8, 1))
    state = initialize(CNN(4, 5), inputs[:1], optax.identity(), seed=0)
    found = Predictor()(state, inputs, batch_size)
    logits = write_out(state.apply_fn(state.variables, inputs, train=False))
    np.testing.assert_array_equal(found, jnp.argmax(logits, axis=-1))
