from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxcolor.errors import UserError
from jaxcolor.pretrained.deeplabv3 import load_pretrained
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.model import build_model, feature_shape, load_variables


def test_missing_weights_are_initialized_with_the_seed(tiny: str) -> None:
    config = SegmentConfig(backbone=tiny, seed=3)
    model = build_model(config, classes=5)
    initial: dict[str, Any] = dict(jax.jit(model.init)(jax.random.key(3), jnp.zeros((1, 64, 64, 3))))
    expected = flatten_dict(load_pretrained(tiny, initial).variables)
    found = flatten_dict(load_variables(model, config).variables)
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, np.asarray(expected[path], np.float32))
    kernel = "params", "head", "classifier", "kernel"
    assert np.any(found[kernel])
    np.testing.assert_array_equal(found[kernel], flatten_dict(initial)[kernel])


def test_a_new_head_cannot_be_frozen(tiny: str) -> None:
    config = SegmentConfig(backbone=tiny, train="last")
    with pytest.raises(UserError, match=r"tiny.pth has no head of a DeepLabV3"):
        load_variables(build_model(config, 5), config)


def test_settings_describe_the_network(tiny: str) -> None:
    model = build_model(SegmentConfig(backbone=tiny, output_stride=8, precision="bfloat16"), classes=7)
    assert (model.architecture, model.classes, model.output_stride) == (tiny, 7, 8)
    assert model.dtype == jnp.bfloat16
    assert build_model(SegmentConfig(backbone="resnet50"), 2).output_stride == 8
    with pytest.raises(UserError, match="there is no backbone 'vgg': choose from resnet50, resnet101"):
        build_model(SegmentConfig(backbone="vgg"), 2)


def test_shapes_of_features(tiny: str) -> None:
    model = build_model(SegmentConfig(backbone=tiny), classes=5)
    assert feature_shape(model, (48, 80)) == (3, 5, 6)
    assert feature_shape(model, (48, 80), "head") == (3, 5, 8)
