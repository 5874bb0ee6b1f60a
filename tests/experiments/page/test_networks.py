from pathlib import Path
from typing import Any

import pytest
from page import networks
from page.networks import KEPT, SHIPPED, Networks

import jaxcolor
from jaxcolor.errors import UserError
from jaxcolor.training.run_folder import RunFolder


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A folder with a run of each kind, one without an epoch, and one of another program."""
    tasks = {"unet": "colorize", "faces": "photo", "streets": "segment", "new": "segment", "a": "analyze"}
    for name, task in tasks.items():
        run = RunFolder(tmp_path / name)
        run.create({"task": task, "settings": {}})
        if name != "new":
            run.log({"epoch": 1, "val_loss": 1.0})
    return tmp_path


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the networks that are loaded. Each is an object of its own."""
    names: list[str] = []

    def load(run: Path) -> Any:
        names.append(run.name)
        return object()

    monkeypatch.setattr(jaxcolor, "load", load)
    monkeypatch.setattr(networks, "load_shipped_colorizer", lambda: load(Path("shipped")))
    return names


def test_each_tab_offers_its_runs(runs_dir: Path) -> None:
    offered = Networks(runs_dir)
    assert offered.colorizers() == ["faces", "unet"]
    assert offered.segmenters() == ["streets"]
    assert Networks(runs_dir / "missing").segmenters() == []


def load(offered: Networks, name: str) -> Any:
    """The annotated type is that of a real network."""
    return Networks._load(offered, name, offered.colorizers()) if name else offered._keep((SHIPPED, 0))


def test_a_network_is_loaded_once_and_again_when_it_has_trained_on(runs_dir: Path, loaded: list[str]) -> None:
    offered = Networks(runs_dir)
    first = load(offered, "unet")
    assert load(offered, "unet") is first
    assert load(offered, SHIPPED) is load(offered, SHIPPED)
    assert loaded == ["unet", "shipped"]
    RunFolder(runs_dir / "unet").log({"epoch": 2, "val_loss": 0.5})
    assert load(offered, "unet") is not first
    assert loaded == ["unet", "shipped", "unet"]


def test_few_networks_stay_in_memory(runs_dir: Path, loaded: list[str]) -> None:
    offered = Networks(runs_dir)
    load(offered, SHIPPED)
    for epoch in range(KEPT):
        RunFolder(runs_dir / "unet").log({"epoch": 2 + epoch, "val_loss": 0.5})
        load(offered, "unet")
    assert loaded.count("shipped") == 1
    load(offered, SHIPPED)
    assert loaded.count("shipped") == 2


@pytest.mark.parametrize("name", ["missing", "streets", "../unet", "."])
def test_only_offered_runs_are_loaded(runs_dir: Path, loaded: list[str], name: str) -> None:
    with pytest.raises(UserError, match="there is no run .* any more: choose another one"):
        Networks(runs_dir).colorizer(name)
    assert loaded == []
