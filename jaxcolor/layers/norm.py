"""Batch normalization as PyTorch computes it (Ioffe and Szegedy, arXiv:1502.03167)."""

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channel"]


class BatchNorm(nn.Module):
    """Normalize each channel of images [batch, height, width, channel].

    With `train` it uses the mean and the biased variance of the batch, otherwise the running averages. The
    running variance averages unbiased variances, over n − 1 values, unlike that of `flax.linen.BatchNorm`:

        running = momentum · running + (1 − momentum) · of_batch

    Statistics are float32. The output has the dtype of the input.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    repeats: int = 1  # how often the next layer repeats each pixel; it only affects n

    def __call__(
        self,
        x: Images,
        *,
        train: bool,
        valid: Float[Array, " batch"] | None = None,
        missing_bias: Float[Array, " channel"] | float = 0.0,
    ) -> Images:
        """Normalize `x`.

        `valid` is 1 for images and 0 for padding, which statistics leave out; None counts every image.
        `missing_bias` is a bias that the layer before did not add. It cancels out of the result, except for
        the running mean, so it need not be added to every pixel; in training it has no gradient.
        """
        scale, bias, running_mean, running_variance = self._variables(x.shape[-1])
        if train:
            mean, variance, count = batch_moments(x, valid)
            count = count * self.repeats
            if not self.is_initializing():
                unbiased = variance * count / jnp.maximum(count - 1, 1)
                running_mean.value = self._average(running_mean.value, mean + missing_bias)
                running_variance.value = self._average(running_variance.value, unbiased)
        else:
            mean, variance = running_mean.value - missing_bias, running_variance.value

        multiplier = scale * lax.rsqrt(variance + self.epsilon)
        normalized = x.astype(jnp.float32) * multiplier + (bias - mean * multiplier)
        return normalized.astype(x.dtype)

    def multiplier_and_shift(
        self, channels: int
    ) -> tuple[Float[Array, " {channels}"], Float[Array, " {channels}"]]:
        """Return both constants of the layer with running averages: x · multiplier + shift."""
        scale, bias, running_mean, running_variance = self._variables(channels)
        multiplier = scale * lax.rsqrt(running_variance.value + self.epsilon)
        return multiplier, bias - running_mean.value * multiplier

    def _average(self, running: Array, of_batch: Array) -> Array:
        return self.momentum * running + (1 - self.momentum) * of_batch

    @nn.compact
    def _variables(self, channels: int) -> tuple[Array, Array, nn.Variable, nn.Variable]:
        return (
            self.param("scale", nn.initializers.ones, (channels,)),
            self.param("bias", nn.initializers.zeros, (channels,)),
            self.variable("batch_stats", "mean", jnp.zeros, (channels,)),
            self.variable("batch_stats", "variance", jnp.ones, (channels,)),
        )


def batch_moments(
    x: Images, valid: Float[Array, " batch"] | None = None
) -> tuple[Float[Array, " channel"], Float[Array, " channel"], Float[Array, ""]]:
    """Return the mean and the biased variance of each channel, and the number of values per channel."""
    x = x.astype(jnp.float32)
    pixels = x.shape[1] * x.shape[2]
    if valid is None:
        weights, count = jnp.ones((1, 1, 1, 1)), jnp.float32(x.shape[0] * pixels)
    else:
        weights, count = valid[:, None, None, None], valid.sum() * pixels
    mean = jnp.sum(x * weights, axis=(0, 1, 2)) / count
    # The gradient with respect to this mean is 0: without it, devices have one sum less to exchange.
    distances = jnp.square(x - lax.stop_gradient(mean))
    variance = jnp.sum(distances * weights, axis=(0, 1, 2)) / count
    return mean, variance, count
