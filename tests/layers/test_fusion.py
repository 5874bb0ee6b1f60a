"""The fast path is taken under jit, never changes a result, and leaves nothing behind."""

import gc
from collections.abc import Callable
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.interpreters.partial_eval import dce_jaxpr
from random_arrays import labels, normal

from jaxcolor.layers import Conv2d, argmax, concatenate, cross_entropy, fusion, max_pool, score, upsample
from jaxcolor.layers.fusion import Concatenated, Upsampled, note_source, source_of
from jaxcolor.models import CNN, UNet

X = normal(0, 2, 16, 16, 1)
LABELS = labels(1, 5, 2, 16, 16)
WEIGHTS = jnp.ones(2)


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
        return large

    traced(x)


def test_a_note_belongs_to_one_array() -> None:
    """An operation on the array gives another one, also if the operation changes nothing."""

    @jax.jit
    def traced(x: jax.Array) -> jax.Array:
        noted = note_source(x + 1, Upsampled(x))
        for other in (x, noted + 0, noted * 1, noted[:], noted.reshape(noted.shape)):
            assert other is noted or source_of(other) is None
        return noted

    traced(jnp.ones((1, 2, 2, 3)))


def build(model: nn.Module) -> tuple[Callable[[dict], Any], dict]:
    """Return a function from parameters to the logits and statistics of a train step, and parameters."""
    variables = jax.eval_shape(model.init, jax.random.key(0), X)
    stats = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), variables["batch_stats"])

    def apply(params: dict) -> Any:
        return model.apply({"params": params, "batch_stats": stats}, X, train=True, mutable=["batch_stats"])

    return apply, jax.tree.map(lambda leaf: normal(0, *leaf.shape), variables["params"])


def test_notes_end_with_their_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "_notes", {})  # traces of other tests that raised an error leave some
    apply, params = build(UNet(4, 5))

    def loss(params: dict) -> jax.Array:
        logits, _ = apply(params)
        assert source_of(logits)
        return cross_entropy(logits, LABELS, WEIGHTS)

    assert not fusion._notes
    with jax.checking_leaks():
        jax.jit(jax.grad(loss)).trace(params)
    gc.collect()
    assert not fusion._notes


def shapes_computed(function: Callable[..., Any], *args: Any) -> set[tuple[int, ...]]:
    """Return the shapes of all arrays that the outputs of a function need."""
    shapes: set[tuple[int, ...]] = set()

    def visit(jaxpr: jax.extend.core.Jaxpr) -> None:
        jaxpr, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
        for equation in jaxpr.eqns:
            shapes.update(getattr(var.aval, "shape", ()) for var in equation.outvars)
            for inner in jax.extend.core.jaxprs_in_params(equation.params):
                visit(inner)

    visit(jax.make_jaxpr(function)(*args).jaxpr)
    return shapes


# Layers 4, 5 and 6 of the UNet see 16 channels at 4×4, 8 at 8×8 and 6 at 16×16. The other two are the output
# of the first convolution, which is pooled, and the logits, which have the shape of the CNN's last input.
UNREAD = {(2, 4, 4, 16), (2, 8, 8, 8), (2, 16, 16, 6), (2, 16, 16, 4), (2, 16, 16, 5)}


@pytest.mark.parametrize(
    ("model", "unread"), [(UNet(4, 5), UNREAD), (CNN(4, 5), {(2, 16, 16, 4), (2, 16, 16, 5)})]
)
@pytest.mark.parametrize(
    "use",
    [
        jax.grad(lambda params, apply: cross_entropy(apply(params)[0], LABELS, WEIGHTS)),
        lambda params, apply: score(apply(params)[0], LABELS, WEIGHTS),
        lambda params, apply: argmax(apply(params)[0]),
    ],
)
def test_concatenated_and_upsampled_images_and_joined_squares_are_not_computed(
    model: nn.Module, unread: set, use: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, params = build(model)
    assert not unread & shapes_computed(lambda params: use(params, apply), params)
    # Without the fast path all of them are.
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert unread <= shapes_computed(lambda params: use(params, apply), params)


def test_the_compiler_drops_arrays_that_nobody_reads() -> None:
    apply, params = build(UNet(4, 5))

    def loss(params: dict) -> jax.Array:
        return cross_entropy(apply(params)[0], LABELS, WEIGHTS)

    program = jax.jit(loss).lower(params).compile().as_text() or ""
    assert "f32[2,4,4,8]" in program  # the input of layer 3
    for shape in UNREAD:
        assert f"f32[{','.join(map(str, shape))}]" not in program, shape


@pytest.mark.parametrize("border", [jax.jit, jax.checkpoint])
def test_results_are_the_same_without_notes(border: Callable) -> None:
    """Notes are lost at the border of an inner jit or checkpoint."""
    x, params = normal(0, 2, 4, 4, 3), {"kernel": normal(1, 3, 3, 3, 5) / 6, "bias": normal(2, 5)}

    def with_notes(x: jax.Array) -> jax.Array:
        large = upsample(x)
        assert source_of(large)
        return max_pool(Conv2d(5).apply({"params": params}, large))  # type: ignore[arg-type]

    def without(x: jax.Array) -> jax.Array:
        large = border(upsample)(x)
        assert source_of(large) is None
        out = border(lambda y: Conv2d(5).apply({"params": params}, y))(large)
        return border(max_pool)(out)

    @jax.jit
    def compute(x: jax.Array) -> list[Any]:
        def loss(x: jax.Array, f: Callable) -> tuple[jax.Array, jax.Array]:
            return jnp.sin(out := f(x)).sum(), out

        return [jax.grad(loss, has_aux=True)(x, f) for f in (with_notes, without)]

    found, expected = compute(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)
