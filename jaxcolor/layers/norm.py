"""Batch normalization as PyTorch computes it (Ioffe and Szegedy, arXiv:1502.03167)."""

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float


class BatchNorm(nn.Module):
    """Normalizes each channel by the batch's mean and biased variance, or by the running ones.

    The running variance is the unbiased one, over n − 1 values, unlike that of `flax.linen.BatchNorm`.
    Each pixel counts `copies` times among them, as one that is upsampled afterwards has to.
    `mask` [batch] is 1 for images that count and 0 for padding; None counts all of them.
    `shift` is a bias of the layer before that `x` lacks: it cancels out but for the running mean, so that
    it need not be added to every pixel, and has no gradient in training.
    Statistics are float32; the output has the dtype of the input.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    copies: int = 1

    def __call__(
        self,
        x: Float[Array, "batch height width channel"],
        *,
        train: bool,
        mask: Float[Array, " batch"] | None = None,
        shift: Float[Array, " channel"] | float = 0.0,
    ) -> Float[Array, "batch height width channel"]:
        scale, bias, running_mean, running_variance = self._variables(x.shape[-1])
        if train:
            mean, variance, count = batch_moments(x, mask)
            count = count * self.copies
            if not self.is_initializing():
                unbiased = variance * count / jnp.maximum(count - 1, 1)
                running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * (mean + shift)
                running_variance.value = (
                    self.momentum * running_variance.value + (1 - self.momentum) * unbiased
                )
        else:
            mean, variance = running_mean.value - shift, running_variance.value

        multiplier = scale * lax.rsqrt(variance + self.epsilon)
        normalized = x.astype(jnp.float32) * multiplier + (bias - mean * multiplier)
        return normalized.astype(x.dtype)

    def frozen(self, channels: int) -> tuple[Float[Array, " {channels}"], Float[Array, " {channels}"]]:
        """With the running statistics the layer is x · multiplier + shift: these two."""
        scale, bias, running_mean, running_variance = self._variables(channels)
        multiplier = scale * lax.rsqrt(running_variance.value + self.epsilon)
        return multiplier, bias - running_mean.value * multiplier

    @nn.compact
    def _variables(self, channels: int) -> tuple[Array, Array, nn.Variable, nn.Variable]:
        return (
            self.param("scale", nn.initializers.ones, (channels,)),
            self.param("bias", nn.initializers.zeros, (channels,)),
            self.variable("batch_stats", "mean", jnp.zeros, (channels,)),
            self.variable("batch_stats", "variance", jnp.ones, (channels,)),
        )


def batch_moments(
    x: Float[Array, "batch height width channel"], mask: Float[Array, " batch"] | None = None
) -> tuple[Float[Array, " channel"], Float[Array, " channel"], Float[Array, ""]]:
    """Mean and biased variance of each channel, and the number of values that each is taken over."""
    x = x.astype(jnp.float32)
    pixels = x.shape[1] * x.shape[2]
    if mask is None:
        weights, count = jnp.ones((1, 1, 1, 1)), jnp.float32(x.shape[0] * pixels)
    else:
        weights, count = mask[:, None, None, None], mask.sum() * pixels
    mean = jnp.sum(x * weights, axis=(0, 1, 2)) / count
    variance = jnp.sum(jnp.square(x - mean) * weights, axis=(0, 1, 2)) / count
    return mean, variance, count
