"""Convolutions in their plain definition: the oracle of the tests, and the program for GPUs and TPUs."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "batch height width in_channels"]
Kernel = Float[Array, "k k in_channels out_channels"]
Output = Float[Array, "batch rows columns out_channels"]
Padding = tuple[tuple[int, int], tuple[int, int]]  # before and after, of rows and of columns


def conv2d_by_shifts(
    x: Images, kernel: Kernel, bias: Float[Array, " out_channels"], dilation: int = 1
) -> Output:
    """The definition of `Conv2d`: a sum over the taps of the kernel, each times a shifted image.

        out[b, i, j] = bias + Σ_{r, c} x[b, i + dilation·(r − k//2), j + dilation·(c − k//2)] @ kernel[r, c]

    Pixels outside of the image are zero, so the output has the image's height and width.
    """
    size = kernel.shape[0]
    height, width = x.shape[1:3]
    reach = dilation * (size // 2)
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    out = bias
    for row in range(size):
        for column in range(size):
            top, left = dilation * row, dilation * column
            shifted = padded[:, top : top + height, left : left + width]
            out = out + shifted @ kernel[row, column]
    return out


def conv2d(x: Images, kernel: Kernel, bias: Float[Array, " out_channels"], dilation: int = 1) -> Output:
    """`conv2d_by_shifts` as one XLA convolution."""
    reach = dilation * (kernel.shape[0] // 2)
    return convolve(x, kernel, 1, ((reach, reach), (reach, reach)), dilation) + bias


def convolve(
    x: Images,
    kernel: Float[Array, "k k _ out_channels"],
    stride: int,
    padding: Padding,
    dilation: int,
    groups: int = 1,
) -> Output:
    """XLA's convolution (a cross-correlation, as in PyTorch) of images [batch, height, width, channel].

    With as many `groups` as channels it is a depthwise convolution, with kernel [k, k, 1, channel].
    """
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
