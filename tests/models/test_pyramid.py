import jax
import jax.numpy as jnp
import numpy as np

from jaxcolor.models.pyramid import PyramidDecoder


def test_the_result_has_the_stride_of_the_finest_features() -> None:
    rng = np.random.default_rng(0)
    levels = [
        jnp.asarray(rng.random((2, 40 // stride, 56 // stride, channels), np.float32))
        for stride, channels in ((4, 3), (8, 5), (16, 6))
    ]
    decoder = PyramidDecoder(8)
    variables = jax.jit(decoder.init)(jax.random.key(0), levels)
    apply = jax.jit(decoder.apply)
    out = np.asarray(apply(variables, levels))
    assert out.shape == (2, 10, 14, 8)
    # Each level has an influence.
    for index in range(3):
        changed = [2 * level if index == i else level for i, level in enumerate(levels)]
        assert np.abs(np.asarray(apply(variables, changed)) - out).max() > 1e-3


def test_padding_has_no_influence_in_training() -> None:
    rng = np.random.default_rng(0)
    levels = [jnp.asarray(rng.random((3, 8 // s, 8 // s, 4), np.float32)) for s in (1, 2, 4)]
    decoder = PyramidDecoder(4)
    variables = jax.jit(decoder.init)(jax.random.key(0), levels)

    @jax.jit
    def run(levels: list[jax.Array], valid: jax.Array | None) -> jax.Array:
        return decoder.apply(variables, levels, train=True, valid=valid, mutable=["batch_stats"])[0]

    alone = run([level[:2] for level in levels], None)
    padded = run(levels, jnp.asarray([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(padded[:2], alone, atol=1e-5)
