"""The convolution of `jaxcolor.layers.conv`, fast on a CPU: exact rewrites, chosen by shape.

- Images side by side are never concatenated: a convolution of a concatenation is a sum of convolutions.
- An upsampled image is never written out, and a image of few channels makes few products of many
  features: see `jaxcolor.layers.conv.squares`.
- The gradient for the weights, the dear part on a CPU, is written as the convolution that XLA is good at.

A GPU's library knows the plain convolution best, and is given it. `docs/speed.md` has the measurements.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.conv.squares import OF_UPSAMPLED, convolve_to_squares, spread
from jaxcolor.layers.conv.windows import side_by_side, windows
from jaxcolor.layers.resize import Part, Squares, Upsampled, write_out

ImageArray = Float[Array, "batch height width in_channels"]
Kernel = Float[Array, "k k in_channels out_channels"]
Output = Float[Array, "batch rows columns out_channels"]

FEW_CHANNELS = 4  # 4×4 windows of so few are worth one matrix product


def conv2d(
    parts: Sequence[Part], kernel: Kernel, bias: Float[Array, " out_channels"], dilation: int = 1
) -> Part:
    """`conv2d_by_shifts`; the output is written out, or left in squares where it comes in squares."""
    if jax.default_backend() != "cpu":
        x = jnp.concatenate([write_out(part) for part in parts], axis=-1)
        return _xla_convolve(x, kernel, kernel.shape[0] // 2 * dilation, dilation) + bias

    parts = [write_out(part) if isinstance(part, Squares) else part for part in parts]
    ends = np.cumsum([jax.tree.leaves(part)[0].shape[-1] for part in parts])
    kernels = jnp.split(kernel, ends[:-1], axis=2)
    in_squares = kernel.shape[0] == 3 and dilation == 1
    if in_squares and all(_is_cheap_in_squares(part) for part in parts):
        return convolve_to_squares(parts, kernels, bias)
    outs = [
        convolve_upsampled(part.small, part_kernel)
        if in_squares and isinstance(part, Upsampled)
        else convolve(write_out(part), part_kernel, dilation)
        for part, part_kernel in zip(parts, kernels, strict=True)
    ]
    return sum(outs[1:], outs[0]) + bias


def _is_cheap_in_squares(part: Part) -> bool:
    if isinstance(part, jax.Array):
        _, height, width, channels = part.shape
        return channels <= FEW_CHANNELS and height % 2 == 0 and width % 2 == 0
    return isinstance(part, Upsampled)


def convolve(x: ImageArray, kernel: Kernel, dilation: int = 1) -> Output:
    """The convolution of one image that keeps its size."""
    return _convolve(x, kernel, kernel.shape[0] // 2 * dilation, dilation)


def convolve_upsampled(
    small: ImageArray, kernel: Float[Array, "3 3 in_channels out_channels"]
) -> Float[Array, "batch 2*height 2*width out_channels"]:
    """The 3×3 convolution of the image of which `small` has one pixel for four."""
    squares = _convolve(small, spread(kernel, OF_UPSAMPLED), 1, 1)
    return write_out(Squares(squares.reshape(*squares.shape[:3], 4, -1), offset=1))


def _xla_convolve(x: ImageArray, kernel: Kernel, padding: int, dilation: int) -> Output:
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=[(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x: ImageArray, kernel: Kernel, padding: int, dilation: int) -> Output:
    return _xla_convolve(x, kernel, padding, dilation)


def _forward(
    x: ImageArray, kernel: Kernel, padding: int, dilation: int
) -> tuple[Output, tuple[ImageArray, Kernel]]:
    return _xla_convolve(x, kernel, padding, dilation), (x, kernel)


def _backward(
    padding: int, dilation: int, saved: tuple[ImageArray, Kernel], gradient: Output
) -> tuple[ImageArray, Kernel]:
    x, kernel = saved
    size = kernel.shape[0]
    # Without the barrier XLA computes what the gradient comes from inside of both convolutions.
    gradient = lax.optimization_barrier(gradient)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    to_x = _xla_convolve(gradient, flipped, dilation * (size - 1) - padding, dilation)
    return to_x, kernel_gradient(x, gradient, size, padding, dilation)


_convolve.defvjp(_forward, _backward)


def kernel_gradient(x: ImageArray, gradient: Output, size: int, padding: int, dilation: int) -> Kernel:
    """The gradient for a kernel of `size`²: the image, correlated with the gradient of the output."""
    if size <= 2:
        seen = side_by_side(windows(x, size, 1, padding))
        product = seen.reshape(-1, seen.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])
        return product.reshape(size, size, x.shape[-1], gradient.shape[-1])
    if gradient.shape[-1] >= x.shape[-1]:
        return correlate(x, gradient, size, padding, dilation)
    # Seen from the other image, the one with fewer channels, the shifts are the opposite ones.
    padding = dilation * (size - 1) - padding
    return correlate(gradient, x, size, padding, dilation)[::-1, ::-1].swapaxes(2, 3)


PIXELS_AT_ONCE = 6400  # of a piece of the batch, so that it stays in the cache
MAX_PIECES = 16  # each is compiled by itself


def correlate(
    x: ImageArray, taps: Output, size: int, padding: int, dilation: int
) -> Float[Array, "size size in_channels out_channels"]:
    """The products of each channel of `x`, shifted by each tap, with each of `taps`, summed over all pixels.

    Pieces of the batch are taken one after the other.
    """
    batch, height, width, _ = x.shape
    pieces = min(max(1, round(batch * height * width / PIXELS_AT_ONCE)), MAX_PIECES)
    step = -(-batch // pieces)
    total = jnp.zeros((), x.dtype)
    for start in range(0, batch, step):
        stop = start + step
        total = total + _correlate(x[start:stop], taps[start:stop], size, padding, dilation)
    return total


def _correlate(x: ImageArray, taps: Output, size: int, padding: int, dilation: int) -> Kernel:
    """Width and channels of the image are one axis, on which a step to the next pixel is a dilation by
    the number of channels: so it is one convolution whose input channels are the images of the batch."""
    batch, height, width, channels = x.shape
    around = (padding, padding)
    rows = jnp.pad(x.transpose(1, 2, 3, 0), (around, around, (0, 0), (0, 0)))
    rows = rows.reshape(1, height + 2 * padding, (width + 2 * padding) * channels, batch)
    out = lax.conv_general_dilated(
        lax.optimization_barrier(rows),
        taps.transpose(1, 2, 0, 3),
        window_strides=(dilation, 1),
        padding="VALID",
        rhs_dilation=(1, channels),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out.reshape(size, -1, channels, taps.shape[-1])[:, ::dilation]
