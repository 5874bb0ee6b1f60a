"""Convolutions with stride, padding and dilation, dense and depthwise, as pretrained backbones need them.

On a CPU two of them are computed tap by tap, which is exact:

- A dilated ("atrous") kernel that reaches about as far as the image multiplies mostly padding. With rate 24
  on a 28×28 map only the middle tap sees all of the map; the others see 14 % or 2 % of it:

      ·  ·  ·        Each tap multiplies the part of the map that it sees, and
      ·  ■  ·        no zeros.
      ·  ·  ·

- A depthwise convolution is a sum of shifted images, each times its tap. XLA computes that in one pass.
"""

import itertools
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.conv import cpu, plain
from jaxcolor.layers.conv.plain import Images, Kernel, Output, Padding
from jaxcolor.layers.portable import on_cpu

DepthwiseKernel = Float[Array, "k k 1 channel"]

TAP_BY_TAP_BELOW = 0.5  # share of the multiplications that are not with padding


def convolve(x: Images, kernel: Kernel, stride: int, padding: Padding, dilation: int) -> Output:
    """Return the convolution; `stride` and `dilation` are the steps between outputs and between taps."""
    size = kernel.shape[0]
    keeps_size = stride == 1 and padding == ((dilation * (size // 2),) * 2,) * 2
    if on_cpu() and keeps_size:
        if share_inside(size, dilation, x.shape) < TAP_BY_TAP_BELOW:
            return convolve_by_taps(x, kernel, dilation)
        return cpu.convolve(x, kernel, dilation)  # as XLA's, with faster gradients
    return plain.convolve(x, kernel, stride, padding, dilation)


def convolve_depthwise(
    x: Images, kernel: DepthwiseKernel, stride: int, padding: Padding, dilation: int
) -> Output:
    """Return the convolution of each channel with its own k×k weights."""
    if on_cpu():
        return depthwise_by_shifts(x, kernel, stride, padding, dilation)
    return plain.convolve(x, kernel, stride, padding, dilation, groups=x.shape[-1])


def share_inside(size: int, dilation: int, shape: tuple[int, ...]) -> float:
    """Return the share of all (output pixel, tap) pairs in which the tap lies inside of the image."""
    share = 1.0
    for length in shape[1:3]:
        share *= sum(max(length - abs(offset), 0) for offset in _offsets(size, dilation)) / (size * length)
    return share


def convolve_by_taps(x: Images, kernel: Kernel, dilation: int) -> Output:
    """Return the convolution with stride 1 that keeps the size, as a sum of one product per tap."""
    _, height, width, _ = x.shape
    out = jnp.zeros((), x.dtype)
    for row, down in enumerate(_offsets(len(kernel), dilation)):
        for column, right in enumerate(_offsets(len(kernel), dilation)):
            if abs(down) >= height or abs(right) >= width:
                continue  # this tap sees nothing but padding
            seen = x[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
            # Without the barrier XLA computes the product again for each pixel that it is added to.
            product = lax.optimization_barrier(seen @ kernel[row, column])
            around = [(max(-offset, 0), max(offset, 0)) for offset in (down, right)]
            out = out + jnp.pad(product, ((0, 0), *around, (0, 0)))
    return out


def _offsets(size: int, dilation: int) -> list[int]:
    """Return the distances from a pixel to the taps that it sees, along an axis."""
    return [dilation * (tap - size // 2) for tap in range(size)]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def depthwise_by_shifts(
    x: Images, kernel: DepthwiseKernel, stride: int, padding: Padding, dilation: int
) -> Output:
    """Return the depthwise convolution as a sum of shifted images."""
    taps = kernel.reshape(-1, kernel.shape[-1])
    out = jnp.zeros((), x.dtype)
    for tap, shifted in zip(taps, _shifts(x, len(kernel), stride, padding, dilation), strict=True):
        out = out + shifted * tap
    return out


def _shifts(x: Images, size: int, stride: int, padding: Padding, dilation: int) -> Iterator[Images]:
    """Yield the pixels that each tap sees, tap by tap."""
    reach = dilation * (size - 1)
    # The barrier keeps XLA from computing the image again for each tap.
    x = lax.optimization_barrier(jnp.pad(x, ((0, 0), *padding, (0, 0))))
    last_row, last_column = ((length - reach - 1) // stride * stride for length in x.shape[1:3])
    for top, left in itertools.product(range(0, reach + 1, dilation), repeat=2):
        yield x[:, top : top + last_row + 1 : stride, left : left + last_column + 1 : stride]


def _depthwise_forward(
    x: Images, kernel: DepthwiseKernel, stride: int, padding: Padding, dilation: int
) -> tuple[Output, tuple[Images, DepthwiseKernel]]:
    return depthwise_by_shifts(x, kernel, stride, padding, dilation), (x, kernel)


def _depthwise_backward(
    stride: int, padding: Padding, dilation: int, inputs: tuple[Images, DepthwiseKernel], gradient: Output
) -> tuple[Images, DepthwiseKernel]:
    """Return the gradients for the image and the kernel.

    That for the image is again a depthwise convolution: of the gradient, with the taps in reverse order. That
    for a tap is the sum of the products of the pixels that it sees with the gradient. XLA sums over the axes
    before the channels slowly, so the images of the batch are added one by one, in one pass.
    """
    x, kernel = inputs
    reach = dilation * (len(kernel) - 1)
    around = []
    for length, outputs, (before, _) in zip(x.shape[1:3], gradient.shape[1:3], padding, strict=True):
        first = reach - before
        around.append((first, length + before - (outputs - 1) * stride - 1, stride - 1))
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *around, (0, 0, 0)))
    for_image = depthwise_by_shifts(spread, kernel[::-1, ::-1], 1, ((0, 0), (0, 0)), dilation)
    for_taps = []
    for shifted in _shifts(x, len(kernel), stride, padding, dilation):
        total = sum((shifted[image] * gradient[image]).astype(jnp.float32) for image in range(len(x)))
        for_taps.append(lax.optimization_barrier(total).sum(axis=(0, 1)))
    return for_image, jnp.stack(for_taps).reshape(kernel.shape).astype(kernel.dtype)


depthwise_by_shifts.defvjp(_depthwise_forward, _depthwise_backward)
