import jax
import jax.numpy as jnp
import numpy as np
from random_arrays import uniform

from jaxcolor.colorization.augment import augment

IMAGES = uniform(0, 40, 6, 8, 2)
LABELS = (IMAGES[..., 0] * 200).astype(jnp.uint8)


def labels_of(images: jax.Array) -> jax.Array:
    return (images[..., 0] * 200).astype(jnp.uint8)


def test_images_and_labels_are_mirrored_together_half_of_the_time() -> None:
    inputs, labels = augment(jax.random.key(0), IMAGES, LABELS, flip=True, shift=0)
    kept, mirrored = ((inputs == of).all(axis=(1, 2, 3)) for of in (IMAGES, IMAGES[:, :, ::-1]))
    assert (kept != mirrored).all()
    assert 10 < mirrored.sum() < 30
    np.testing.assert_array_equal(labels, labels_of(inputs))


def test_images_are_shifted_by_up_to_so_many_pixels_with_repeated_borders() -> None:
    inputs, labels = augment(jax.random.key(0), IMAGES, LABELS, flip=False, shift=2)
    np.testing.assert_array_equal(labels, labels_of(inputs))
    shifts = set()
    enlarged = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    for image, large in zip(np.asarray(inputs), enlarged, strict=True):
        found = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if (large[row : row + 6, column : column + 8] == image).all()
        ]
        assert len(found) == 1
        shifts |= set(found)
    assert {row for row, _ in shifts} == {column for _, column in shifts} == set(range(5))


def test_another_key_changes_other_images_and_no_option_changes_none() -> None:
    one, other = (augment(jax.random.key(seed), IMAGES, LABELS, True, 1)[0] for seed in (0, 1))
    assert (one != other).any()
    inputs, labels = augment(jax.random.key(0), IMAGES, LABELS, flip=False, shift=0)
    np.testing.assert_array_equal(inputs, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
