from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxcolor.errors import UserError
from jaxcolor.pretrained.networks import load_pretrained
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.model import build_model, feature_shapes, load_variables, logits_size


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
    with pytest.raises(UserError, match=r"tiny.pth has no weights for --head deeplabv3"):
        load_variables(build_model(config, 5), config)


def test_settings_describe_the_network(tiny: str) -> None:
    model = build_model(SegmentConfig(backbone=tiny, output_stride=8, precision="bfloat16"), classes=7)
    assert (model.architecture, model.classes, model.output_stride) == (tiny, 7, 8)
    assert model.dtype == jnp.bfloat16
    assert build_model(SegmentConfig(backbone="resnet50"), 2).output_stride == 8
    with pytest.raises(UserError, match="there is no backbone 'vgg': choose from resnet18, resnet34"):
        build_model(SegmentConfig(backbone="vgg"), 2)


def test_shapes_of_features(tiny: str) -> None:
    model = build_model(SegmentConfig(backbone=tiny), classes=5)
    assert feature_shapes(model, (48, 80), "backbone") == ((3, 5, 6),)
    assert feature_shapes(model, (48, 80), "head") == ((3, 5, 8),)
    assert logits_size(model, (48, 80)) == (3, 5)


def test_heads_with_details_have_logits_at_a_stride_of_4(tiny: str) -> None:
    plus = build_model(SegmentConfig(backbone=tiny, head="deeplabv3plus"), classes=5)
    assert feature_shapes(plus, (48, 80), "backbone") == ((12, 20, 4), (3, 5, 6))
    assert feature_shapes(plus, (48, 80), "head") == ((12, 20, 8),)
    pyramid = build_model(SegmentConfig(backbone=tiny, head="fpn"), classes=5)
    assert pyramid.output_stride == 32
    assert [shape[:2] for shape in feature_shapes(pyramid, (64, 96), "backbone")] == [
        (16, 24), (8, 12), (4, 6), (2, 3)
    ]  # fmt: skip
    for model in (plus, pyramid):
        assert logits_size(model, (64, 96)) == (16, 24)
    assert build_model(SegmentConfig(backbone="resnet50", head="fpn"), 2).output_stride == 32
