from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_backbone

from jaxcolor.models.heads import HEADS, RATES
from jaxcolor.models.segmentation import DeepLabV3, Part, SegmentationNet


def shapes(architecture: str, **options: Any) -> dict:
    model = DeepLabV3(architecture, 21, **options)
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]


@pytest.mark.parametrize(
    ("architecture", "count"),
    [("resnet101", 60_996_202), ("resnet50", 42_004_074), ("mobilenet-v3-large", 11_029_328)],
)
def test_the_number_of_parameters_is_torchvisions(architecture: str, count: int) -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes(architecture, aux=True))) == count


def test_the_last_layer_has_the_assignments_number_of_parameters() -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes("resnet50")["head"]["classifier"])) == 5397


@pytest.mark.parametrize("architecture", ["resnet50", "mobilenet-v3-large", "efficientnet-lite0"])
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("size", [(64, 96), (65, 90)])
def test_features_are_smaller_by_the_output_stride(
    architecture: str, stride: int, size: tuple[int, int]
) -> None:
    model = DeepLabV3(architecture, 5, stride)
    x = jnp.zeros((2, *size, 3))
    logits, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    assert logits.shape == (2, *(-(-n // stride) for n in size), 5)


@pytest.mark.parametrize("decoder", HEADS)
def test_features_of_a_frozen_part_give_the_same_logits(decoder: str, tmp_path: Path) -> None:
    x = jax.random.normal(jax.random.key(0), (1, 48, 64, 3))

    def after(part: Literal["backbone", "head"]) -> Any:
        features: Any = model.apply(variables, x, part, method="features")
        return model.apply(variables, features, after=part)

    with tiny_backbone.installed(tmp_path) as name:
        model = SegmentationNet(name, 4, 16, decoder=decoder)
        variables = jax.jit(model.init)(jax.random.key(1), x)
        expected, *found = jax.jit(lambda: (model.apply(variables, x), after("backbone"), after("head")))()
    assert jnp.abs(expected).max() > 0.01
    for logits in found:
        np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ["resnet50", "efficientnet-lite0"])
@pytest.mark.parametrize(
    ("decoder", "stride"), [("deeplabv3plus", 16), ("deeplabv3plus-separable", 16), ("fpn", 32)]
)
def test_other_heads_have_logits_at_a_stride_of_4(architecture: str, decoder: str, stride: int) -> None:
    model = SegmentationNet(architecture, 5, stride, decoder=decoder)
    x = jnp.zeros((2, 65, 96, 3))
    logits, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    assert logits.shape == (2, 17, 24, 5)


def test_separable_convolutions_have_fewer_parameters() -> None:
    def head(name: str) -> dict:
        model = SegmentationNet("efficientnet-lite0", 11, 16, decoder=name)
        return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]["head"]

    def size(params: dict) -> int:
        return sum(leaf.size for leaf in jax.tree.leaves(params))

    dense, separable = head("deeplabv3plus"), head("deeplabv3plus-separable")
    # 320 channels at the output stride, 256 + 48 and 256 at a stride of 4
    for params, block, channels in (("aspp", "atrous1", 320), (None, "conv1", 304), (None, "conv2", 256)):
        before, after = ((part[params] if params else part)[block] for part in (dense, separable))
        assert size(before) == 9 * channels * 256 + 2 * 256
        assert size(after) == 9 * channels + 2 * channels + channels * 256 + 2 * 256
    assert size(separable) < 0.35 * size(dense)


def test_lraspp_is_as_large_as_torchvisions() -> None:
    model = SegmentationNet("mobilenet-v3-large", 21, 16, decoder="lraspp")
    x = jnp.zeros((2, 65, 96, 3))
    logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 3_221_538
    assert logits.shape == (2, 9, 12, 21)


def test_the_pyramid_is_light() -> None:
    shapes = jax.eval_shape(
        SegmentationNet("efficientnet-lite0", 11, 32, decoder="fpn").init,
        jax.random.key(0), jnp.zeros((1, 64, 64, 3)),
    )["params"]["head"]  # fmt: skip
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 700_000


def test_frozen_parts_keep_their_running_averages() -> None:
    model = DeepLabV3("efficientnet-lite0", 4, 16, aux=True)
    x = jnp.zeros((2, 48, 64, 3))
    rngs = {"dropout": jax.random.key(2)}
    params, stats = (
        jax.eval_shape(model.init, jax.random.key(1), x)[name] for name in ("params", "batch_stats")
    )
    moved = {}
    for train in ("last", "head", "all"):
        has_aux: list[bool] = []

        def averages(stats: Any, params: Any, train: Part = train, has_aux: list[bool] = has_aux) -> Any:
            (_, aux), updates = model.apply(
                {"params": params, "batch_stats": stats},
                x, train=train, mutable=["batch_stats"], rngs=rngs, method="with_auxiliary",
            )  # fmt: skip
            has_aux.append(aux is not None)
            return updates["batch_stats"]

        # A program that returns one of its inputs does not change it.
        program = jax.make_jaxpr(averages)(stats, params).jaxpr
        paths = [path for path, _ in jax.tree.leaves_with_path(stats)]
        found = zip(paths, program.invars, program.outvars, strict=False)
        moved[train] = {path[0].key for path, before, after in found if after is not before}
        assert len(program.outvars) == len(paths)
        assert has_aux == [train == "all"]
    assert moved == {"last": set(), "head": {"head"}, "all": {"backbone", "head", "aux_head"}}


def test_the_dilation_rates_reach_equally_far_in_the_image_at_both_strides() -> None:
    def rates(stride: int, architecture: str = "resnet50") -> tuple[int, ...]:
        model = DeepLabV3(architecture, 5, stride)
        return model.bind({}).head.rates

    assert rates(8) == RATES == (12, 24, 36)
    assert rates(16) == (6, 12, 18)
    assert rates(16, "mobilenet-v3-large") == (12, 24, 36)  # as in torchvision
