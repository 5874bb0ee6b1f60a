import dataclasses
import json
from pathlib import Path

import pytest
from analysis import main as main_module
from analysis.config import AnalyzeConfig
from analysis.main import analyze

from jaxcolor.errors import UserError
from jaxcolor.training.run_folder import RunFolder


@pytest.fixture
def config(tmp_path: Path) -> AnalyzeConfig:
    """An analysis that needs no images."""
    return AnalyzeConfig(
        parts=("memory",),
        memory_networks=("unet",),
        memory_sizes=(32,),
        memory_batch_size=1,
        runs_dir=tmp_path,
    )


def change_config(config: AnalyzeConfig, **changes: object) -> None:
    path = config.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_images_are_read_where_they_are_needed_only(
    config: AnalyzeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(main_module, "load_dataset", lambda settings: pytest.fail("read"))
    report = analyze(config).read_text()
    assert "images:" not in report
    # The step is not compiled again, and the images of an earlier call stay those of the analysis.
    facts = {"name": "sample", "train": 70, "validation": 20}
    change_config(config, dataset=facts)
    monkeypatch.setattr("analysis.memory.measure_step", lambda step: pytest.fail("compiled"))
    report = analyze(dataclasses.replace(config, resume=True)).read_text()
    assert "images: sample, 70 for training and 20 for validation" in report
    assert RunFolder(config.folder).read_config()["dataset"] == facts


def test_an_analysis_keeps_to_its_images_and_its_device(config: AnalyzeConfig) -> None:
    analyze(config)
    change_config(config, dataset={"name": "cifar10"})
    with pytest.raises(UserError, match="was started with other images"):
        analyze(dataclasses.replace(config, parts=("skips",), dataset="sample", resume=True))
    change_config(config, device="gpu: NVIDIA H100 (16 CPU cores)")
    with pytest.raises(UserError, match="was started on a gpu: start a new one"):
        analyze(dataclasses.replace(config, resume=True))
    assert json.loads((config.folder / "config.json").read_text())["device"].startswith("gpu")


def test_one_process_at_a_time(config: AnalyzeConfig) -> None:
    analyze(config)
    before = (config.folder / "config.json").read_bytes()
    with RunFolder(config.folder).locked():
        for again in (dataclasses.replace(config, resume=True), dataclasses.replace(config, overwrite=True)):
            with pytest.raises(UserError, match="another process is training into"):
                analyze(again)
    assert (config.folder / "config.json").read_bytes() == before


def test_a_damaged_part_is_named(config: AnalyzeConfig) -> None:
    analyze(config)
    (config.folder / "batch-sizes.json").write_text("{")
    with pytest.raises(UserError, match="batch-sizes.json is damaged"):
        analyze(dataclasses.replace(config, resume=True))
