"""jaxcolor: colouring and segmenting pictures with convolutional networks, in JAX and Flax."""

__version__ = "0.1.0"
