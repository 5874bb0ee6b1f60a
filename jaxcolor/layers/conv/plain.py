"""Convolutions in their plain definition: the oracle of the tests, and the program for GPUs and TPUs."""

import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim
from jaxtyping import Array, Float

from jaxcolor.layers.portable import Length

Images = Float[Array, "batch height width in_channels"]
Kernel = Float[Array, "k k in_channels out_channels"]
Output = Float[Array, "batch rows columns out_channels"]
Padding = tuple[tuple[Length, Length], tuple[Length, Length]]  # before and after, of rows and of columns


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


def conv2d(
    x: Images, kernel: Kernel, bias: Float[Array, " out_channels"], dilation: int = 1, stride: int = 1
) -> Output:
    """`conv2d_by_shifts` as one XLA convolution, at every `stride`-th pixel."""
    reach = dilation * (kernel.shape[0] // 2)
    return convolve(x, kernel, stride, ((reach, reach), (reach, reach)), dilation) + bias


def conv_transpose2d_by_shifts(
    x: Images, kernel: Kernel, bias: Float[Array, " out_channels"]
) -> Float[Array, "batch 2*height 2*width out_channels"]:
    """The definition of `ConvTranspose2d`: each pixel adds its products to the pixels that it reaches.

        out[b, 2·i + r − k//2, 2·j + c − k//2] += x[b, i, j] @ kernel[r, c],  and the bias

    That is PyTorch's, with stride 2, padding k//2 and output padding 1.
    """
    size = kernel.shape[0]
    batch, height, width, _ = x.shape
    reach = size // 2
    out = jnp.zeros((batch, 2 * height + 2 * reach, 2 * width + 2 * reach, kernel.shape[-1]), x.dtype)
    for row in range(size):
        for column in range(size):
            places = (slice(row, row + 2 * height, 2), slice(column, column + 2 * width, 2))
            out = out.at[:, *places].add(x @ kernel[row, column])
    return out[:, reach : reach + 2 * height, reach : reach + 2 * width] + bias


def conv_transpose2d(
    x: Images, kernel: Kernel, bias: Float[Array, " out_channels"]
) -> Float[Array, "batch 2*height 2*width out_channels"]:
    """`conv_transpose2d_by_shifts` as one XLA convolution of the image with zeros between its pixels."""
    before = kernel.shape[0] - 1 - kernel.shape[0] // 2
    out = lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((before, before + 1),) * 2,
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out + bias


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
    # XLA's convolution takes no padding that depends on a size which is not known yet.
    if any(is_symbolic_dim(length) for around in padding for length in around):
        x, padding = jnp.pad(x, ((0, 0), *padding, (0, 0))), ((0, 0), (0, 0))
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
