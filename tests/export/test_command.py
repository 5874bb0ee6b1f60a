"""`jaxcolor export` from a run folder to its files."""

import json
from pathlib import Path
from typing import Any

import exported
import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxcolor import cli
from jaxcolor.errors import UserError
from jaxcolor.export import command
from jaxcolor.export.command import Source, export
from jaxcolor.export.config import ExportConfig
from jaxcolor.export.programs import program_of


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """A UNet with a prior, which the command finds in place of any run."""
    model = exported.colorizer("unet", prior=True)
    settings = {
        "model": "unet", "filters": 4, "colors": 6, "kernel_size": 3, "dilation": None,
        "downsize_input": False, "runs_dir": "/home/me/runs",
    }  # fmt: skip
    source = Source(model, settings, program_of(model))
    monkeypatch.setattr(command, "open_source", lambda run, checkpoint: source)
    return source


def test_onnx_file_and_its_description(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "new" / "net.onnx"
    cli.main(["export", "runs/unet", "--to", "onnx", "--out", str(out)])
    assert str(out) in capsys.readouterr().out
    images = exported.random_images(1, 32, 32)
    session = onnxruntime.InferenceSession(out)
    (colored,) = session.run(["colored"], {"images": images})
    np.testing.assert_array_equal(colored, np.asarray(source.model.predict(images)))
    facts = json.loads(out.with_name("net.onnx.json").read_text())
    assert facts["network"] == {
        "model": "unet", "filters": 4, "colors": 6, "kernel_size": 3, "downsize_input": False
    }  # fmt: skip
    assert np.array(facts["palette"]).shape == (6, 3)
    assert np.array(facts["log_prior"]).shape == (256, 6)
    assert json.loads(session.get_modelmeta().custom_metadata_map["jaxcolor"])["palette"] == facts["palette"]


def test_stablehlo_runs_for_any_size(source: Source, tmp_path: Path) -> None:
    export(ExportConfig("runs/unet", "stablehlo", tmp_path / "net"))
    read = jax.export.deserialize(bytearray((tmp_path / "net").read_bytes()))
    assert read.platforms == ("cpu", "cuda")
    wanted = jax.jit(source.program.function)
    for images in (exported.random_images(1, 40, 50), exported.random_images(2, 64, 33)):
        found = read.call(images)
        np.testing.assert_allclose(found["logits"], wanted(images)["logits"], atol=1e-4)
        np.testing.assert_array_equal(found["colored"], np.asarray(source.model.predict(images)))


def test_safetensors_hold_the_parameters_by_name(source: Source, tmp_path: Path) -> None:
    export(ExportConfig("runs/unet", "safetensors", tmp_path / "net.safetensors"))
    tensors = load_file(tmp_path / "net.safetensors")
    assert tensors["params/layer1/conv/kernel"].shape == (3, 3, 1, 4)
    for path, leaf in source.variables.items():
        np.testing.assert_array_equal(tensors["/".join(path)], leaf)
    assert len(tensors) == len(source.variables)


def test_a_missing_package_is_named_before_the_run_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package onnx: run `pip install onnx`"):
        export(ExportConfig("runs/none", "onnx"))


def test_an_error_writes_nothing(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.settings["model"] = "resunet"
    with pytest.raises(UserError, match="there is no resunet in PyTorch"):
        export(ExportConfig("runs/unet", "pth", tmp_path / "new" / "net.pth"))
    assert not any(tmp_path.iterdir())


def test_the_default_name_is_that_of_the_run(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export(ExportConfig("runs/mine/", "safetensors"))
    assert {path.name for path in tmp_path.iterdir()} == {"mine.safetensors", "mine.safetensors.json"}


@pytest.mark.parametrize("to", ["onnx", "safetensors"])
def test_the_network_that_comes_with_jaxcolor(
    to: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if to == "onnx":
        pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    export(ExportConfig("photo", to))
    facts = json.loads((tmp_path / f"photo.{to}.json").read_text())
    assert facts["network"] == {"model": "photo"}
    assert len(facts["centers"]) == len(facts["log_prior"][0])
