"""A segmentation run on a tiny backbone, for tests that need a finished run."""

import contextlib
import dataclasses
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny_backbone
from pth_files import write_weights
from voc_layout import write_voc

from jaxcolor.segmentation import loader
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.job import segment
from jaxcolor.training import compilation


@dataclass(frozen=True)
class Trained:
    """A finished run: its settings, its last metrics, its lines on the terminal, and the cache of features.

    Tests share it, and must not change its files.
    """

    config: SegmentConfig
    metrics: dict[str, float]
    output: str
    cache: Path

    def copy(self, folder: Path) -> SegmentConfig:
        """Copy the run folder into `folder`, and return the settings of the copy."""
        shutil.copytree(self.config.folder, folder / self.config.folder.name)
        return dataclasses.replace(self.config, runs_dir=folder)


def train(folder: Path) -> Trained:
    """Train two epochs on five images of 48×64 pixels. The last batch of an epoch has one image."""
    config = SegmentConfig(
        backbone=tiny_backbone.NAME, voc_dir=write_voc(folder / "voc"), classes="3", epochs=2, batch_size=2,
        image_size=(48,), learning_rate=0.02, runs_dir=folder / "runs",
        weights=write_weights(folder / "own.pth", tiny_backbone.weights(seed=2)),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, tiny_backbone.installed(folder):
        patch.setattr(compilation, "compiler_options", lambda backend: {})
        patch.setattr(loader, "cache_folder", lambda: folder / "cache")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            metrics = segment(config)
    assert metrics is not None
    return Trained(config, metrics, output.getvalue(), folder / "cache")
