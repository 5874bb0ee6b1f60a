"""Random arrays from NumPy, because JAX compiles a program for each shape."""

import jax
import jax.numpy as jnp
import numpy as np


def normal(seed: int, *shape: int) -> jax.Array:
    """Return float32 values with mean 0 and variance 1."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def uniform(seed: int, *shape: int) -> jax.Array:
    """Return float32 values between 0 and 1."""
    return jnp.asarray(np.random.default_rng(seed).uniform(size=shape), jnp.float32)


def labels(seed: int, classes: int, *shape: int) -> jax.Array:
    """Return uint8 labels below `classes`."""
    return jnp.asarray(np.random.default_rng(seed).integers(0, classes, shape), jnp.uint8)
