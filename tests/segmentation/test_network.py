from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcolor.pretrained.deeplabv3 import load_pretrained
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.network import Network
from jaxcolor.trees import flatten


def test_what_is_not_pretrained_is_as_the_model_initializes_it() -> None:
    network = Network(SegmentConfig(seed=3).resolved(), classes=5)
    initial: dict[str, Any] = jax.jit(network.model.init)(jax.random.key(3), jnp.zeros((1, 64, 64, 3)))
    expected = flatten(load_pretrained("efficientnet-lite0", initial).variables)
    found = flatten(network.variables)
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, expected[path])
    kernel = "params", "head", "classifier", "kernel"
    assert np.any(found[kernel])
    np.testing.assert_array_equal(found[kernel], flatten(initial)[kernel])
