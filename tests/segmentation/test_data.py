from pathlib import Path

import pytest
from PIL import Image
from voc_layout import NAMES, write_voc

from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import load_dataset


@pytest.fixture
def config(tmp_path: Path) -> SegmentConfig:
    return SegmentConfig(voc_dir=write_voc(tmp_path / "voc"), classes="3")


def mask_of(config: SegmentConfig, name: str) -> Path:
    assert config.voc_dir
    return config.voc_dir / "VOCdevkit/VOC2012/SegmentationClass" / f"{name}.png"


def test_labels_are_counted(config: SegmentConfig) -> None:
    counts = load_dataset(config).train_labels
    # Of each of five masks of 48×64 pixels: 4 rows of class 0, 32, 1 and 31 columns below.
    assert counts[[0, 1, 255, 2]].tolist() == [5 * 4 * 64, 5 * 44 * 32, 5 * 44, 5 * 44 * 31]
    assert counts.sum() == 5 * 48 * 64


@pytest.mark.parametrize("split", ["train", "val"])
def test_wrong_label_maps_are_found_before_the_run(config: SegmentConfig, split: str) -> None:
    load_dataset(config).check()
    name = NAMES[split][2]
    Image.new("L", (64, 48), 3).save(mask_of(config, name))
    with pytest.raises(UserError, match=f"{name}.png has label 3"):
        load_dataset(config).check()
    for name in NAMES[split]:
        Image.new("L", (64, 48), 255).save(mask_of(config, name))
    with pytest.raises(UserError, match=f"all pixels of the {split} label maps of voc are void"):
        load_dataset(config).check()


def test_the_sample_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset(SegmentConfig(data_dir=tmp_path))
    assert "PASCAL VOC IS NOT HERE" in capsys.readouterr().err
    assert data.facts["name"] == "sample"
    assert data.facts["requested"] == "auto"
    assert (data.facts["train"], data.facts["validation"]) == (200, 60)
