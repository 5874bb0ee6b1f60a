import jax.numpy as jnp
import numpy as np

from jaxcolor.pretrained.imagenet import normalize


def test_normalize_on_hand_computed_values() -> None:
    images = jnp.array([[[[0, 255, 51]]]], jnp.uint8)
    expected = [(0 - 0.485) / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(normalize(images)[0, 0, 0], expected, rtol=1e-5)
