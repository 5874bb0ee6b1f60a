from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reference import colorization as reference
from reference.weights import from_torch, to_torch

from jaxcolor import models
from jaxcolor.errors import UserError


def variables(model: models.CNN | models.UNet) -> dict:
    """Return zeros with the shapes of the network's variables."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1))))
    return jax.tree.map(lambda shape: jnp.zeros(shape.shape), dict(shapes))


def trained_weights() -> dict:
    """Return a state_dict whose statistics are not the initial ones."""
    torch.manual_seed(0)
    model = reference.UNet(4, 6)
    model(torch.rand(3, 1, 8, 8))
    return model.state_dict()


def test_a_round_trip_returns_the_same_weights() -> None:
    weights = trained_weights()
    ours = from_torch(weights, variables(models.UNet(4, 6)))
    back = to_torch(ours, weights)
    assert back.keys() == weights.keys()
    for key, value in back.items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(value, weights[key])
    again = from_torch(back, ours)
    jax.tree.map(np.testing.assert_array_equal, again, ours)


def test_both_networks_compute_the_same_with_converted_weights() -> None:
    weights = trained_weights()
    network = models.UNet(4, 6)
    ours = from_torch(weights, variables(network))
    theirs = reference.UNet(4, 6)
    theirs.load_state_dict(to_torch(ours, weights))
    x = np.random.default_rng(0).uniform(size=(2, 8, 12, 1)).astype(np.float32)
    with torch.inference_mode():
        expected = theirs.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    logits: Any = network.apply(ours, jnp.asarray(x))
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_an_error_names_all_weights_of_pytorch_that_do_not_fit() -> None:
    weights = trained_weights()
    weights["layer7.weight"] = weights["layer6.bias"]
    weights["layer1.conv.bias"] = torch.zeros(5)
    weights["layer6.weight"] = torch.zeros(3)
    del weights["layer3.norm.running_var"]
    with pytest.raises(UserError) as error:
        from_torch(weights, variables(models.UNet(4, 6)))
    assert str(error.value) == (
        "the PyTorch weights do not fit this network: "
        "layer1.conv.bias has shape (5,) in jaxcolor's order, not (4,); layer3.norm.running_var is missing; "
        "layer6.weight has 1 axes, not 4; layer7.weight is unknown"
    )


def test_an_error_names_all_weights_of_jaxcolor_that_do_not_fit() -> None:
    ours = variables(models.CNN(4, 6))
    ours["params"]["layer9"] = {"kernel": jnp.zeros(3)}
    del ours["batch_stats"]["layer2"]
    with pytest.raises(UserError) as error:
        to_torch(ours, trained_weights())
    message = str(error.value)
    assert message.startswith("the variables do not fit this PyTorch network: ")
    assert "batch_stats/layer2/norm/mean is missing; batch_stats/layer2/norm/variance is missing" in message
    assert "params/layer9/kernel is unknown" in message
    assert (
        "params/layer4/conv/kernel has, as layer4.conv.weight, shape (4, 8, 3, 3), not (4, 16, 3, 3)"
        in message
    )
