from jaxcolor.training.fit import describe


def test_the_line_of_an_epoch() -> None:
    metrics = {"epoch": 3, "train_loss": 1.61234, "val_loss": 2.0, "val_accuracy": 0.5, "seconds": 5.26}
    expected = "epoch  3/25  train_loss 1.6123  val_loss 2.0000  val_accuracy 0.5000  5.3 s"
    assert describe(metrics, epochs=25) == expected
