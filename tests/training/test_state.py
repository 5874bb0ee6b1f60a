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


def test_the_average_follows_the_variables() -> None:
    """The decay is (1 + step) / (10 + step) at first: 0.1, then 2/11, and never above that of the state."""
    variables = {"params": {"w": jnp.zeros(1)}, "batch_stats": {"mean": jnp.zeros(1)}}
    state = create_state(abs, variables, optax.sgd(1.0), decay=0.15)
    assert state.averaged == variables
    expected = 0.0
    for step, decay in enumerate([0.1, 0.15, 0.15], start=1):
        state = state.apply_gradients(grads={"w": -jnp.ones(1)}, batch_stats={"mean": jnp.full(1, step)})
        expected = decay * expected + (1 - decay) * step
        np.testing.assert_allclose(state.averaged["params"]["w"], [expected], rtol=1e-6)
        np.testing.assert_allclose(state.averaged["batch_stats"]["mean"], [expected], rtol=1e-6)
        np.testing.assert_allclose(state.params["w"], [step])
    restarted = state.with_variables(variables)
    assert restarted.params == restarted.averaged["params"] == variables["params"]
    without = create_state(abs, variables, optax.sgd(1.0))
    assert without.averaged is not None
    assert without.average is None


def test_a_network_without_batchnorm_has_no_statistics() -> None:
    assert create_state(abs, {"params": {}}, optax.sgd(1)).batch_stats == {}


def test_initial_weights_follow_the_seed() -> None:
    model, example = CNN(2, 3), jnp.zeros((1, 8, 8, 1))
    kernels = [initialize(model, example, seed)["params"]["layer1"]["conv"]["kernel"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert jnp.abs(kernels[0] - kernels[2]).max() > 0.01
    expected = model.init(jax.random.key(0), example)["params"]["layer1"]["conv"]["kernel"]
    np.testing.assert_allclose(kernels[0], expected, rtol=1e-6)
