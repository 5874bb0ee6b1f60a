"""`plain.conv2d`, fast on a CPU: exact rewrites, chosen by shape.

- A concatenation is not written out. With the kernel cut along its input channels,
      conv([a, b], [kernel_a, kernel_b]) = conv(a, kernel_a) + conv(b, kernel_b).
- An upsampled image is not written out, and an image with few channels makes one product with many
  features: see `squares`.
- The gradient for the kernel, the slowest part on a CPU, is one convolution that XLA computes fast: see
  `correlate`. With a large dilation it is one product per tap.

`docs/speed.md` has the measurements.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.conv import plain
from jaxcolor.layers.conv.plain import Images, Kernel, Output
from jaxcolor.layers.conv.squares import (
    OF_UPSAMPLED,
    Part,
    convolve_to_squares,
    join,
    side_by_side,
    spread,
    windows,
)
from jaxcolor.layers.fusion import Concatenated, Squares, Upsampled, note_source, source_of

WIDEST_CORRELATION = 2  # the largest dilation for which `correlate` is faster than a product per tap
FEW_CHANNELS = 4  # up to so many, 4×4 windows are worth one matrix product


def conv2d(x: Images, kernel: Kernel, bias: Float[Array, " out_channels"], dilation: int = 1) -> Output:
    """`plain.conv2d` in the dtype of `kernel`, computed from the sources of `x` where they are known."""
    arrays = parts_of(x)
    ends = np.cumsum([array.shape[-1] for array in arrays])
    kernels = jnp.split(kernel, ends[:-1], axis=2)
    parts: list[Part] = [array.astype(kernel.dtype) for array in arrays]
    if kernel.shape[0] == 3 and dilation == 1:
        for i, array in enumerate(arrays):
            if isinstance(source := source_of(array), Upsampled):
                parts[i] = Upsampled(source.small.astype(kernel.dtype))
        if all(_is_cheap_in_squares(part) for part in parts):
            squares = convolve_to_squares(parts, kernels, bias)
            return note_source(join(squares), squares)
    outs = [
        convolve_upsampled(part.small, part_kernel)
        if isinstance(part, Upsampled)
        else convolve(part, part_kernel, dilation)
        for part, part_kernel in zip(parts, kernels, strict=True)
    ]
    return sum(outs[1:], outs[0]) + bias


def parts_of(x: Array) -> list[Array]:
    """Return the arrays that `x` is a concatenation of."""
    source = source_of(x)
    if isinstance(source, Concatenated):
        return [part for array in source.parts for part in parts_of(array)]
    return [x]


def _is_cheap_in_squares(part: Part) -> bool:
    if isinstance(part, Upsampled):
        return True
    _, height, width, channels = part.shape
    return channels <= FEW_CHANNELS and height % 2 == 0 and width % 2 == 0


def convolve(x: Images, kernel: Kernel, dilation: int = 1) -> Output:
    """Return the convolution of one image, of the same size."""
    return _convolve(x, kernel, kernel.shape[0] // 2 * dilation, dilation)


def convolve_padded(x: Images, kernel: Kernel, before: int, after: int) -> Output:
    """Return the convolution of an image with `before` and `after` pixels of zeros around it."""
    around = (before, after)
    return _convolve(jnp.pad(x, ((0, 0), around, around, (0, 0))), kernel, 0, 1)


def convolve_upsampled(
    small: Images, kernel: Float[Array, "3 3 in_channels out_channels"]
) -> Float[Array, "batch 2*height 2*width out_channels"]:
    """Return the 3×3 convolution of `upsample(small)`."""
    squares = _convolve(small, spread(kernel, OF_UPSAMPLED), 1, 1)
    return join(Squares(squares.reshape(*squares.shape[:3], 4, -1), offset=1))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x: Images, kernel: Kernel, padding: int, dilation: int) -> Output:
    return plain.convolve(x, kernel, 1, ((padding, padding),) * 2, dilation)


def _forward(x: Images, kernel: Kernel, padding: int, dilation: int) -> tuple[Output, tuple[Images, Kernel]]:
    return plain.convolve(x, kernel, 1, ((padding, padding),) * 2, dilation), (x, kernel)


def _backward(
    padding: int, dilation: int, saved: tuple[Images, Kernel], gradient: Output
) -> tuple[Images, Kernel]:
    x, kernel = saved
    size = kernel.shape[0]
    # Without the barrier XLA computes the source of the gradient again inside both convolutions.
    gradient = lax.optimization_barrier(gradient)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    around = dilation * (size - 1) - padding
    to_x = plain.convolve(gradient, flipped, 1, ((around, around),) * 2, dilation)
    return to_x, kernel_gradient(x, gradient, size, padding, dilation)


_convolve.defvjp(_forward, _backward)


def kernel_gradient(x: Images, gradient: Output, size: int, padding: int, dilation: int) -> Kernel:
    """Return the gradient for a kernel of `size`²: the correlation of the input with the output's gradient.

    kernel_gradient[r, c] = Σ_{b, i, j} x[b, i + dilation·r − padding, j + dilation·c − padding]ᵀ
                                        @ gradient[b, i, j]
    """
    if size <= 2:
        seen = side_by_side(windows(x, size, 1, padding))
        product = seen.reshape(-1, seen.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])
        return product.reshape(size, size, x.shape[-1], gradient.shape[-1])
    if dilation > WIDEST_CORRELATION:
        return correlate_by_taps(x, gradient, size, padding, dilation)
    if gradient.shape[-1] >= x.shape[-1]:
        return correlate(x, gradient, size, padding, dilation)
    # The input and the gradient swap roles, so that the one with fewer channels is shifted. The shifts are
    # then the opposite ones.
    padding = dilation * (size - 1) - padding
    return correlate(gradient, x, size, padding, dilation)[::-1, ::-1].swapaxes(2, 3)


def correlate_by_taps(x: Images, gradient: Output, size: int, padding: int, dilation: int) -> Kernel:
    """Return the gradient for a kernel as one product per tap, of the pixels that the tap sees."""

    def seen(offset: int, inputs: int, outputs: int) -> tuple[slice, slice]:
        """Return the places along an axis, in the input and in the output, for which the tap is inside."""
        first = max(0, -offset)
        last = max(first, min(outputs, inputs - offset))
        return slice(first + offset, last + offset), slice(first, last)

    offsets = [dilation * tap - padding for tap in range(size)]
    products = []
    for down in offsets:
        rows, out_rows = seen(down, x.shape[1], gradient.shape[1])
        for right in offsets:
            columns, out_columns = seen(right, x.shape[2], gradient.shape[2])
            inputs = x[:, rows, columns].reshape(-1, x.shape[-1])
            products.append(inputs.T @ gradient[:, out_rows, out_columns].reshape(-1, gradient.shape[-1]))
    return jnp.stack(products).reshape(size, size, x.shape[-1], gradient.shape[-1])


PIXELS_PER_PIECE = 6400  # of the batch, so that a piece stays in the cache
MAX_PIECES = 16  # each piece is compiled separately
FEWEST_IN_16_BITS = 16  # images of a piece: products of 16-bit numbers take many at once
_batch_is_whole = ContextVar("_batch_is_whole", default=False)


@contextmanager
def whole_batches() -> Iterator[None]:
    """Do not cut batches into pieces. Several devices, which share a batch, would exchange the pieces."""
    token = _batch_is_whole.set(True)
    try:
        yield
    finally:
        _batch_is_whole.reset(token)


def correlate(
    x: Images, taps: Output, size: int, padding: int, dilation: int
) -> Float[Array, "size size in_channels out_channels"]:
    """Return Σ over pixels of (channels of `x`, shifted by each tap) × (channels of `taps`).

    The batch is processed in pieces.
    """
    batch, height, width, _ = x.shape
    pieces = min(max(1, round(batch * height * width / PIXELS_PER_PIECE)), MAX_PIECES)
    if _batch_is_whole.get():
        pieces = 1
    fewest = FEWEST_IN_16_BITS if x.dtype.itemsize == 2 else 1
    step = max(-(-batch // pieces), fewest)
    total = jnp.zeros((), x.dtype)
    for start in range(0, batch, step):
        stop = start + step
        total = total + _correlate(x[start:stop], taps[start:stop], size, padding, dilation)
    return total


def _correlate(x: Images, taps: Output, size: int, padding: int, dilation: int) -> Kernel:
    """Correlate by one convolution whose input channels are the images of the batch.

    Width and channels become one axis. There a step to the next pixel is a step over all channels, that is, a
    dilation by the number of channels:

        axis of length width·channels:  r g b │ r g b │ r g b │ …
        taps of channel g, dilation 3:    g       g       g
    """
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
