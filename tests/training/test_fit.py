import jax
import pytest

from jaxcolor.errors import UserError
from jaxcolor.training.fit import describe, enough_memory


def test_the_line_of_an_epoch() -> None:
    metrics = {"epoch": 3, "train_loss": 1.61234, "val_loss": 2.0, "val_accuracy": 0.5, "seconds": 5.26}
    expected = "epoch  3/25  train_loss 1.6123  val_loss 2.0000  val_accuracy 0.5000  5.3 s"
    assert describe(metrics, epochs=25) == expected


def test_too_little_memory_is_one_line_and_other_faults_are_not_hidden() -> None:
    with (
        pytest.raises(UserError, match="the device has too little memory: lower --batch-size"),
        enough_memory(),
    ):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
    with pytest.raises(jax.errors.JaxRuntimeError), enough_memory():
        raise jax.errors.JaxRuntimeError("INTERNAL: a fault")
