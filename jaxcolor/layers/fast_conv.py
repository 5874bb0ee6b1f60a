"""The convolution of `jaxcolor.layers.conv`, fast: exact rewrites that leave out what need not be computed.

- Pictures side by side are never concatenated: a convolution of a concatenation is a sum of convolutions.
- An upsampled picture is never written out: where a 3×3 kernel meets equal neighbours their weights are
  summed beforehand, so that each of the four pixels of a square is a convolution of the small picture. The
  four are one convolution with four times the features, and its gradients are two matrix products.
- The gradient for the weights, the dear part on a CPU, is written as the convolution that XLA is good at.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.resize import Part, Upsampled, upsample

Picture = Float[Array, "batch height width in_channels"]
Kernel = Float[Array, "k k in_channels out_channels"]
Output = Float[Array, "batch height width out_channels"]


def conv2d(
    parts: Sequence[Part], kernel: Kernel, bias: Float[Array, " out_channels"], dilation: int = 1
) -> Output:
    """`conv2d_by_shifts` without writing out what is concatenated or upsampled."""
    out, channel = bias, 0
    for part in parts:
        x = part.small if isinstance(part, Upsampled) else part
        weights = kernel[:, :, channel : channel + x.shape[-1]]
        channel += x.shape[-1]
        if not isinstance(part, Upsampled):
            out = out + convolve(x, weights, dilation)
        elif kernel.shape[0] == 3 and dilation == 1:
            out = out + convolve_upsampled(x, weights)
        else:
            out = out + convolve(upsample(x), weights, dilation)
    return out


def convolve(x: Picture, kernel: Kernel, dilation: int = 1) -> Output:
    """The convolution of one picture."""
    if dilation == 1 and jax.default_backend() == "cpu":
        return _convolve(x, kernel)
    return _xla_convolve(x, kernel, dilation)


def _xla_convolve(x: Picture, kernel: Kernel, dilation: int = 1) -> Output:
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding="SAME",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@jax.custom_vjp
def _convolve(x: Picture, kernel: Kernel) -> Output:
    return _xla_convolve(x, kernel)


def _convolve_forward(x: Picture, kernel: Kernel) -> tuple[Output, tuple[Picture, Kernel]]:
    return _xla_convolve(x, kernel), (x, kernel)


def _convolve_backward(saved: tuple[Picture, Kernel], gradient: Output) -> tuple[Picture, Kernel]:
    x, kernel = saved
    # Without the barrier XLA computes what the gradient comes from inside of both convolutions.
    gradient = lax.optimization_barrier(gradient)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    return _xla_convolve(gradient, flipped), kernel_gradient(x, gradient, kernel.shape[0])


_convolve.defvjp(_convolve_forward, _convolve_backward)

PIXELS_AT_ONCE = 6400  # of a piece of the batch, so that it stays in the cache
MAX_PIECES = 16  # each is compiled by itself


def kernel_gradient(x: Picture, gradient: Output, size: int) -> Kernel:
    """The gradient for a kernel of `size`²: the picture, correlated with the gradient of the output.

    Width and channels of the picture are one axis, on which a step to the next pixel is a dilation by
    the number of channels: so it is one convolution with one input channel a picture of the batch.
    """
    batch, height, width, _ = x.shape
    pieces = min(max(1, round(batch * height * width / PIXELS_AT_ONCE)), MAX_PIECES)
    step = -(-batch // pieces)
    total = jnp.zeros((), x.dtype)
    for start in range(0, batch, step):
        stop = start + step
        total = total + _kernel_gradient(x[start:stop], gradient[start:stop], size)
    return total


def _kernel_gradient(x: Picture, gradient: Output, size: int) -> Kernel:
    batch, height, width, channels = x.shape
    reach = size // 2
    padded = jnp.pad(x.transpose(1, 2, 3, 0), ((reach, reach), (reach, reach), (0, 0), (0, 0)))
    rows = padded.reshape(1, height + 2 * reach, (width + 2 * reach) * channels, batch)
    taps = gradient.transpose(1, 2, 0, 3)
    rows, taps = lax.optimization_barrier((rows, taps))
    out = lax.conv_general_dilated(
        rows,
        taps,
        window_strides=(1, 1),
        padding="VALID",
        rhs_dilation=(1, channels),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out.reshape(size, size, channels, gradient.shape[-1])


@jax.custom_vjp
def convolve_upsampled(
    small: Float[Array, "batch height width in_channels"],
    kernel: Float[Array, "3 3 in_channels out_channels"],
) -> Float[Array, "batch 2*height 2*width out_channels"]:
    """The 3×3 convolution of the picture of which `small` has one pixel for four."""
    batch, height, width, channels = small.shape
    features = kernel.shape[-1]
    kernels = lax.optimization_barrier(_quarter_kernels(kernel))
    quarters = _xla_convolve(small, kernels.reshape(3, 3, channels, 4 * features))
    return _interleave(quarters.reshape(batch, height, width, 2, 2, features))


def _quarter_kernels(kernel: Array) -> Float[Array, "3 3 in_channels 2 2 out_channels"]:
    """What the four pixels of a square see of the small picture around it.

    Along an axis the first pixel sees its left neighbour with the first weight and itself with the sum
    of the others; the second sees itself with the sum of the first two and its right neighbour.
    """

    def halves(kernel: Array, axis: int) -> Array:
        first, second, third = (lax.index_in_dim(kernel, i, axis, keepdims=False) for i in range(3))
        none = jnp.zeros_like(first)
        left = jnp.stack([first, second + third, none], axis)
        right = jnp.stack([none, first + second, third], axis)
        return jnp.stack([left, right], axis=-2)

    return halves(halves(kernel, 0), 1)


def _interleave(quarters: Float[Array, "batch height width 2 2 channel"]) -> Array:
    batch, height, width, _, _, channels = quarters.shape
    return quarters.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels)


def _upsampled_forward(small: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve_upsampled(small, kernel), (small, kernel)


def _upsampled_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Each tap sees a small pixel in a square of four places, so that the gradient of the output, as
    that tap meets it, is a sum over squares; the rest is two matrix products."""
    small, kernel = saved
    batch, height, width, channels = small.shape
    features = kernel.shape[-1]
    squares = gradient.reshape(batch, height, 2, width, 2, features)
    rows = lax.optimization_barrier(_tap_sums(squares[:, :, 0], squares[:, :, 1], axis=1, tap_axis=3))
    sums = _tap_sums(rows[..., 0, :], rows[..., 1, :], axis=2, tap_axis=4)
    sums = lax.optimization_barrier(sums).reshape(-1, 9 * features)
    kernel_gradient = (small.reshape(-1, channels).T @ sums).reshape(channels, 3, 3, features)
    taps = kernel.transpose(0, 1, 3, 2).reshape(9 * features, channels)
    return (sums @ taps).reshape(small.shape), kernel_gradient.transpose(1, 2, 0, 3)


def _tap_sums(first: Array, second: Array, axis: int, tap_axis: int) -> Array:
    """What the three taps of an axis meet, of squares whose two sides on it are `first` and `second`."""

    def shifted(x: Array, by: int) -> Array:
        padding = [(by, -by, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)]
        return lax.pad(x, jnp.zeros((), x.dtype), padding)

    return jnp.stack([second + shifted(first, -1), first + second, shifted(second, 1) + first], tap_axis)


convolve_upsampled.defvjp(_upsampled_forward, _upsampled_backward)
