"""The networks that the page offers: the one that comes with jaxcolor, and the runs in a folder."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import jaxcolor
from jaxcolor.colorization.predictor import Colorizer
from jaxcolor.errors import UserError
from jaxcolor.photo.predictor import PhotoColorizer
from jaxcolor.photo.shipped import load_shipped_colorizer
from jaxcolor.segmentation.predictor import Segmenter
from jaxcolor.training.overview import find_runs
from jaxcolor.training.run_folder import RunFolder

SHIPPED = ""  # the name of the network that comes with jaxcolor, which no run can have
COLORIZES, SEGMENTS = ("colorize", "photo"), ("segment",)  # the tasks of runs
KEPT = 4  # networks in memory


class Networks:
    """Loads networks, and keeps the last ones. All requests share it, also at the same time."""

    def __init__(self, runs_dir: Path):
        self.runs_dir = runs_dir
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def colorizers(self) -> list[str]:
        """Return the names of the runs that color."""
        return self._names(COLORIZES)

    def segmenters(self) -> list[str]:
        """Return the names of the runs that segment."""
        return self._names(SEGMENTS)

    def colorizer(self, name: str) -> Colorizer | PhotoColorizer:
        """Return a network that colors. Raises `UserError` if there is no such run, or if it is damaged."""
        return self._load(name, self.colorizers()) if name else self._keep((SHIPPED, 0))

    def segmenter(self, name: str) -> Segmenter:
        """Return a network that segments. Raises `UserError` as `colorizer` does."""
        return self._load(name, self.segmenters())

    def _names(self, tasks: tuple[str, ...]) -> list[str]:
        runs, _ = find_runs(self.runs_dir)
        return [run.name for run in runs if run.task in tasks]

    def _load(self, name: str, names: list[str]) -> Any:
        """Return the network of a run. One that has trained on since is loaded anew."""
        if name not in names:
            raise UserError(f"there is no run {name!r} any more: choose another one")
        return self._keep((name, RunFolder(self.runs_dir / name).metrics_file.stat().st_mtime_ns))

    def _keep(self, key: tuple[str, int]) -> Any:
        name, _ = key
        with self._lock:
            if key not in self._kept:
                run = self.runs_dir / name
                self._kept[key] = jaxcolor.load(run) if name else load_shipped_colorizer()
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]
