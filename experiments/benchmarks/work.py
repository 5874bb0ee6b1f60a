"""How much there is to compute in a network, by its plain definition."""

from analysis.tracing import trace_layers
from flax import linen as nn


def operations(model: nn.Module, side: int, channels: int, train: bool) -> int:
    """Floating-point operations for one image of `side`² pixels, two a connection.

    A train step does each convolution three times: forward, for its input's gradient (but for the
    image's), and for its kernel's. Everything else is left out.
    """
    layers = trace_layers(model, (side, side, channels), train=False)
    forward = 2 * sum(layer.connections for layer in layers)
    return 3 * forward - 2 * layers[0].connections if train else forward
