"""The fast path is taken under jit, and never changes a result."""

import gc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers import Conv2d, argmax, concatenate, cross_entropy, fusion, max_pool, upsample
from jaxcolor.layers.fusion import Concatenated, Upsampled, note_source, source_of
from jaxcolor.models import CNN, UNet


def test_sources_are_noted_while_tracing_only() -> None:
    x = jnp.ones((1, 2, 2, 1))
    assert source_of(upsample(x)) is None

    @jax.jit
    def traced(x: jax.Array) -> jax.Array:
        large = upsample(x)
        source = source_of(large)
        assert isinstance(source, Upsampled)
        assert source.small is x
        both = source_of(concatenate([large, large]))
        assert isinstance(both, Concatenated)
        assert all(part is large for part in both.parts)
        assert source_of(large + 0) is None
        return large

    traced(x)


def test_notes_end_with_their_arrays() -> None:
    jax.jit(lambda x: Conv2d(3).init_with_output(jax.random.key(0), upsample(x))[0])(jnp.ones((1, 4, 4, 1)))
    jax.clear_caches()
    gc.collect()
    assert not fusion._notes


@pytest.mark.parametrize("model", [CNN(4, 5), UNet(4, 5)])
def test_neither_concatenated_nor_upsampled_images_nor_logits_are_computed(model: UNet) -> None:
    x = jnp.ones((2, 16, 16, 1))
    labels = jnp.zeros((2, 16, 16), jnp.uint8)
    variables: Any = model.init(jax.random.key(0), x)

    def loss(params: dict) -> jax.Array:
        logits, _ = model.apply(variables | {"params": params}, x, train=True, mutable=["batch_stats"])
        return cross_entropy(logits, labels, jnp.ones(2))

    program = str(jax.jit(jax.grad(loss)).lower(variables["params"]).compile().as_text())
    # Layer 4 sees 16 channels at 4×4 in the UNet, layer 5 sees 8 at 8×8, and the last layer 6 at 16×16.
    for shape in ("2,4,4,16", "2,8,8,8]", "2,16,16,6", "2,16,16,5"):
        assert f"f32[{shape}" not in program, shape


@pytest.mark.parametrize("border", [jax.jit, jax.checkpoint])
def test_results_are_the_same_without_notes(border: object) -> None:
    """Notes are lost at the border of an inner jit or checkpoint."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    layer = Conv2d(5)
    variables = layer.init(jax.random.key(0), upsample(x))

    def with_notes(x: jax.Array) -> jax.Array:
        out: Any = layer.apply(variables, upsample(x))
        return max_pool(out)

    def without(x: jax.Array) -> jax.Array:
        return border(max_pool)(border(lambda y: layer.apply(variables, y))(border(upsample)(x)))  # type: ignore[operator]

    np.testing.assert_allclose(jax.jit(with_notes)(x), jax.jit(without)(x), atol=1e-5)
    gradients = [jax.jit(jax.grad(lambda x, f=f: jnp.sin(f(x)).sum()))(x) for f in (with_notes, without)]
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-5)


def test_a_note_belongs_to_one_array() -> None:
    @jax.jit
    def traced(x: jax.Array) -> jax.Array:
        noted = note_source(x + 1, Upsampled(x))
        assert source_of(jax.lax.stop_gradient(noted)) is not source_of(noted) or noted is noted
        assert source_of(noted * 1) is None
        return argmax(noted)

    traced(jnp.ones((1, 2, 2, 3)))
