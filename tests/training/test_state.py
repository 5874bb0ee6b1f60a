import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcolor.models import CNN
from jaxcolor.training.state import create_state, initialize


def test_a_state_starts_at_step_0_with_the_given_variables() -> None:
    variables = {"params": {"w": jnp.ones(2)}, "batch_stats": {"mean": jnp.zeros(2)}}
    state = create_state(abs, variables, optax.sgd(0.5))
    assert state.step.dtype == jnp.int32
    assert state.variables == variables
    after = state.apply_gradients(grads={"w": jnp.asarray([1.0, 2.0])}, batch_stats={"mean": jnp.ones(2)})
    np.testing.assert_allclose(after.params["w"], [0.5, 0.0])
    np.testing.assert_allclose(after.batch_stats["mean"], [1, 1])
    assert int(after.step) == 1


def test_a_network_without_batchnorm_has_no_statistics() -> None:
    assert create_state(abs, {"params": {}}, optax.sgd(1)).batch_stats == {}


def test_initial_weights_follow_the_seed() -> None:
    model, example = CNN(2, 3), jnp.zeros((1, 8, 8, 1))
    kernels = [initialize(model, example, seed)["params"]["layer1"]["conv"]["kernel"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert jnp.abs(kernels[0] - kernels[2]).max() > 0.01
    expected = model.init(jax.random.key(0), example)["params"]["layer1"]["conv"]["kernel"]
    np.testing.assert_allclose(kernels[0], expected, rtol=1e-6)
