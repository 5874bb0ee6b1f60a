"""The networks for colorization in their plain definition, layer by layer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from random_arrays import labels, uniform

from jaxcolor.layers import cross_entropy
from jaxcolor.layers.conv.plain import conv2d, conv_transpose2d_by_shifts
from jaxcolor.layers.losses import plain_cross_entropy
from jaxcolor.training import compilation


def make_variables(model: nn.Module, x: jax.Array) -> dict[str, Any]:
    """Return variables that differ from the initial ones everywhere: kernels around 0, the rest around 1."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    leaves, tree = jax.tree.flatten(shapes)
    values = [uniform(i, *leaf.shape) - 0.5 + (len(leaf.shape) == 1) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(tree, values)


class PlainLayers:
    """Layers of convolution, change of size, BatchNorm and ReLU; `stats` are the new running averages."""

    def __init__(self, variables: dict[str, Any], train: bool):
        self.params, self.running = variables["params"], variables["batch_stats"]
        self.train = train
        self.stats: dict[str, Any] = {}

    def __call__(
        self,
        name: str,
        x: jax.Array,
        resize: Callable[[jax.Array], jax.Array] = lambda x: x,
        conv: Callable[..., jax.Array] = conv2d,
    ) -> jax.Array:
        weights, norm, averages = (
            self.params[name]["conv"],
            self.params[name]["norm"],
            self.running[name]["norm"],
        )
        x = resize(conv(x, weights["kernel"], weights["bias"]))
        mean, variance = averages["mean"], averages["variance"]
        if self.train:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            count = x.size // x.shape[-1]
            of_batch = {"mean": mean, "variance": variance * count / (count - 1)}
            averages = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, averages, of_batch)
        self.stats[name] = {"norm": averages}
        return jax.nn.relu((x - mean) / jnp.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"])


def skip(skips: bool, source: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.concatenate([source, x], -1) if skips else x


def plain_network(
    variables: dict[str, Any], x: jax.Array, *, skips: bool, train: bool, dilation: int = 1
) -> tuple[jax.Array, dict[str, Any]]:
    """Return logits and running averages: the CNN, or with `skips` the UNet."""

    def pool(x: jax.Array) -> jax.Array:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def up(x: jax.Array) -> jax.Array:
        return x.repeat(2, axis=1).repeat(2, axis=2)

    layer = PlainLayers(variables, train)
    out1 = layer("layer1", x, pool)
    out2 = layer("layer2", out1, pool)
    out3 = layer("layer3", out2, conv=partial(conv2d, dilation=dilation))
    out4 = layer("layer4", skip(skips, out2, out3), up)
    out5 = layer("layer5", skip(skips, out1, out4), up)
    return conv2d(skip(skips, x, out5), **variables["params"]["layer6"]), layer.stats


def plain_strided_network(
    variables: dict[str, Any], x: jax.Array, *, skips: bool, train: bool
) -> tuple[jax.Array, dict[str, Any]]:
    """Return logits and running averages: the ConvTransposeNet, or with `skips` the strided UNet."""
    layer = PlainLayers(variables, train)
    down, up = partial(conv2d, stride=2), conv_transpose2d_by_shifts
    out1 = layer("layer1", x, conv=down)
    out2 = layer("layer2", out1, conv=down)
    out3 = layer("layer3", out2, conv=up)
    out4 = layer("layer4", skip(skips, out1, out3), conv=up)
    return conv2d(skip(skips, x, out4), **variables["params"]["layer5"]), layer.stats


Definition = Callable[..., tuple[jax.Array, dict[str, Any]]]  # of (variables, x, train=…)


def check_train_step(model: nn.Module, definition: Definition, width: int = 12) -> None:
    """Compare loss, logits, running averages and gradients of a train step with the plain definition."""
    x, targets = uniform(0, 3, 8, width, 1), labels(1, 5, 3, 8, width)
    weights = jnp.asarray([0.5, 0.3, 0.2])
    variables = make_variables(model, x)

    def ours(variables: dict[str, Any]) -> Any:
        logits, updates = model.apply(variables, x, train=True, mutable=["batch_stats"])
        return cross_entropy(logits, targets, weights), (logits, updates["batch_stats"])

    def plain(variables: dict[str, Any]) -> Any:
        logits, stats = definition(variables, x, train=True)
        return plain_cross_entropy(logits, targets, weights), (logits, stats)

    def step(loss: Callable) -> Callable:
        def of_params(params: dict) -> Any:
            return loss(variables | {"params": params})

        return jax.value_and_grad(of_params, has_aux=True)

    # Only the network itself needs the options of users, with which programs compile slowly.
    found = compilation.jit(step(ours))(variables["params"])
    assert_close(found, jax.jit(step(plain))(variables["params"]))


def check_softmax(model: nn.Module, definition: Definition) -> None:
    """Compare probabilities and their gradients: eagerly, and under jit with vmap or checkpoint."""
    x = uniform(0, 2, 8, 4, 1)
    variables = make_variables(model, x)

    def ours(x: jax.Array) -> jax.Array:
        logits: Any = model.apply(variables, x)
        return jax.nn.softmax(logits)

    def image_by_image(x: jax.Array) -> jax.Array:
        return jax.vmap(lambda image: ours(image[None])[0])(x)

    def plain(x: jax.Array) -> jax.Array:
        logits, _ = definition(variables, x, train=False)
        return jax.nn.softmax(logits)

    @jax.jit
    def compute(x: jax.Array) -> list[Any]:
        def probabilities_and_gradient(f: Callable) -> Any:
            return jax.grad(lambda x: (jnp.square(out := f(x)).sum(), out), has_aux=True)(x)

        return [probabilities_and_gradient(f) for f in (plain, jax.checkpoint(ours), image_by_image)]

    expected, *others = compute(x)
    for found in (*others, (expected[0], ours(x))):
        assert_close(found, expected)


def assert_close(found: Any, expected: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5), found, expected)
