import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from benchmarks import segmentation
from benchmarks.config import SegmentBenchmark
from benchmarks.report import segmentation_text

from jaxcolor.errors import UserError


@pytest.mark.slow
def test_both_programs_have_the_same_features_and_losses(tmp_path: Path) -> None:
    config = SegmentBenchmark(backbone="resnet50", image_size=32, batch_size=16, epochs=1)
    model = segmentation.write_weights(tmp_path / "w.pth", config)
    forward = segmentation.compare_forward(config, tmp_path / "w.pth", model)
    assert forward["largest_difference"] < 1e-4
    whole = segmentation.compare_runs(config, tmp_path / "w.pth", model)
    # The validation loss before the epoch, and both losses after it.
    assert len(whole["losses"]["jaxcolor"]) == 3
    assert whole["largest_loss_difference"] < 1e-3
    assert f"{whole['ratio']:.2f} times as fast as torchvision" in segmentation_text("runs", whole)
    assert f"{forward['ratio']:.2f} times as fast as torchvision" in segmentation_text("forward", forward)


@pytest.mark.slow
def test_mobilenet_trains_and_predicts_as_torchvision_does(tmp_path: Path) -> None:
    config = SegmentBenchmark(backbone="mobilenet-v3-large", image_size=64, batch_size=4, photographs=1)
    model = segmentation.write_weights(tmp_path / "w.pth", config)
    training = segmentation.compare_training(config, tmp_path / "w.pth", model)
    assert training["loss_difference"] < 0.1  # dropout differs
    prediction = segmentation.compare_prediction(config, tmp_path / "w.pth", model)
    assert prediction["equal"] > 0.99  # Pillow and PyTorch round differently when they resize
    assert "% of the pixels have the same class" in segmentation_text("prediction", prediction)


def test_invalid_settings_raise_an_error() -> None:
    config = SegmentBenchmark()
    changes = {"rounds": 4, "image_size": 8, "batch_size": 0, "epochs": 0, "runs": 0, "photographs": 0}
    for name, value in changes.items():
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} must be at least"):
            dataclasses.replace(config, **{name: value})  # type: ignore[arg-type]
