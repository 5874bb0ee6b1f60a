from pathlib import Path

import jax.numpy as jnp
import optax
import pytest

from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.history import best_epoch, better, describe_best, has_stalled
from jaxcolor.training.state import create_state


def history(*losses: float, before: float | None = None) -> list[dict[str, float]]:
    first = [] if before is None else [{"epoch": 0, "val_loss": before}]
    return first + [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses, start=1)]


def test_the_best_epoch_has_the_lowest_loss_of_those_that_were_trained() -> None:
    assert best_epoch(history(3.0, 1.0, 2.0)) == 2
    assert best_epoch(history(3.0, 2.0, before=1.0)) == 2


@pytest.mark.parametrize("losses", [(3.0, 1.0, 2.0), (1.0, 1.0, 2.0), (2.0, 1.0, 1.0)])
def test_the_best_epoch_is_that_of_the_checkpoint(losses: tuple[float, ...], tmp_path: Path) -> None:
    state = create_state(abs, {"params": {"w": jnp.zeros(())}}, optax.sgd(1.0))
    with Checkpoints(tmp_path) as checkpoints:
        for epoch, loss in enumerate(losses, start=1):
            checkpoints.save(epoch, state, loss)
        assert checkpoints.epoch("best") == best_epoch(history(*losses))


def test_an_earlier_best_epoch_is_named() -> None:
    losses = history(3.0, 1.41, 1.5, 1.63)
    assert describe_best(losses, epoch=4) == (
        "Lowest validation loss after epoch 2 of 4: the checkpoint 'best' holds it "
        "(1.4100; 1.6300 after epoch 4)."
    )
    assert describe_best(losses, epoch=2) == (
        "These scores are those after epoch 2 of 4, the lowest validation loss."
    )
    assert describe_best(history(3.0, 2.0, before=1.0), epoch=2) is None


def test_a_score_is_better_if_it_is_higher() -> None:
    scored = [{"epoch": epoch, "val_loss": epoch, "psnr": psnr} for epoch, psnr in enumerate((1, 3, 3, 2), 1)]
    assert best_epoch(scored, "psnr") == 3
    assert best_epoch(scored) == 1
    assert has_stalled(scored, 1, "psnr")
    assert not has_stalled(scored, 2, "psnr")
    assert describe_best(scored, 4, "psnr") == (
        "Highest PSNR after epoch 3 of 4: the checkpoint 'best' holds it (3.0000; 2.0000 after epoch 4)."
    )
    assert better("mean_iou") == "higher mean IoU"
    assert better("val_loss") == "lower validation loss"


def test_the_best_checkpoint_follows_the_metric(tmp_path: Path) -> None:
    state = create_state(abs, {"params": {"w": jnp.zeros(())}}, optax.identity())
    with Checkpoints(tmp_path, metric="mean_iou") as checkpoints:
        for epoch, score in enumerate((0.2, 0.6, 0.4), start=1):
            checkpoints.save(epoch, state, score)
        checkpoints.wait()
    with Checkpoints(tmp_path, metric="mean_iou") as again:
        assert again.epoch("best") == 2
        assert again.epoch("latest") == 3
