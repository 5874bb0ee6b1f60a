"""How much there is to compute in a network, by its plain definition."""

import jax
import jax.numpy as jnp
from flax import linen as nn

# The resolution at which a layer's convolution works: it comes before pooling and upsampling.
DIVISORS = {"layer1": 1, "layer2": 2, "layer3": 4, "layer4": 4, "layer5": 2, "layer6": 1}


def multiply_adds(model: nn.Module, side: int, channels: int) -> dict[str, int]:
    """Of each layer's convolution, for one picture of `side`² pixels with so many channels."""
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.zeros((1, side, side, channels)), train=False)
    )
    params = shapes["params"]
    return {
        layer: params[layer].get("conv", params[layer])["kernel"].size * (side // divisor) ** 2
        for layer, divisor in DIVISORS.items()
    }


def operations(model: nn.Module, side: int, channels: int, train: bool) -> int:
    """Floating-point operations for one picture, two a multiply-add.

    A train step does each convolution three times: forward, for its input's gradient (but for the
    picture's), and for its kernel's. Everything else is left out.
    """
    layers = multiply_adds(model, side, channels)
    forward = 2 * sum(layers.values())
    return 3 * forward - 2 * layers["layer1"] if train else forward
