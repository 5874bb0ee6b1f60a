"""Private notes on how an array was made, for the fast path on a CPU.

Every layer takes and returns ordinary arrays. While JAX traces a function, `upsample`, `concatenate` and
`Conv2d` also note what their output was made of. A layer that can compute faster from the source looks it
up here and leaves the array itself unread, and XLA drops an array that nobody reads. For example:

    upsample(x) → conv2d        computes from x, which has a quarter of the pixels
    concatenate([a, b]) → conv2d    computes conv2d(a) + conv2d(b)
    Conv2d → max_pool           pools the 2×2 squares that the convolution computed

A layer without such knowledge, of Flax or of the user, reads the array. Notes are lost at the border of an
inner `jax.jit` or `jax.checkpoint`; the result is then the same, only slower. Nothing is noted outside of
tracing, where every operation runs at once.
"""

import weakref
from typing import NamedTuple

import jax
from flax import struct
from jaxtyping import Array, Float, Shaped


class Upsampled(NamedTuple):
    """The source of `upsample(small)`."""

    small: Float[Array, "batch height width channel"]


class Concatenated(NamedTuple):
    """The source of `concatenate(parts)`."""

    parts: list[Float[Array, "batch height width _"]]


class Squares(struct.PyTreeNode):
    """The source of an image that was computed in 2×2 squares of pixels.

    The four pixels of a square are in reading order. With `offset` 1 the first squares begin one pixel above
    and to the left of the image, and the pixels outside of the image are undefined.
    """

    pixels: Shaped[Array, "batch rows columns 4 channel"]
    offset: int = struct.field(pytree_node=False)


Source = Upsampled | Concatenated | Squares

# id of an array → a reference to it and its source. The entry goes when the array does. JAX drops the arrays
# at the end of a trace; those of a trace that raised an error stay until the process ends.
_notes: dict[int, tuple[weakref.ref, Source]] = {}


def note_source(array: Array, source: Source) -> Array:
    """Note the source of an array that is being traced, and return the array."""
    if isinstance(array, jax.core.Tracer):
        key = id(array)
        _notes[key] = (weakref.ref(array, lambda _: _notes.pop(key, None)), source)
    return array


def source_of(array: Array) -> Source | None:
    """Return the source of an array, or None if none was noted."""
    reference, source = _notes.get(id(array), (None, None))
    return source if reference is not None and reference() is array else None
