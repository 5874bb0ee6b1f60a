"""jaxcolor needs nothing that only POSIX systems or the GNU C library have."""

import os
import subprocess
import sys
from pathlib import Path

from voc_layout import write_voc

PROGRAM = """
import ctypes, mmap, os, pkgutil, sys
from pathlib import Path

for name in ("fcntl", "resource", "termios"):
    sys.modules[name] = None
if hasattr(os, "posix_fallocate"):
    del os.posix_fallocate


class PlainMap(mmap.mmap):
    @property
    def madvise(self):
        raise AttributeError("madvise")


load_library = ctypes.CDLL


def without_libc(name, *args, **kwargs):
    if name is None:
        raise OSError("no such library")
    return load_library(name, *args, **kwargs)


ctypes.CDLL = without_libc
mmap.mmap = PlainMap

import jaxcolor

for module in pkgutil.walk_packages(jaxcolor.__path__, "jaxcolor."):
    if module.name != "jaxcolor.__main__":
        __import__(module.name)

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.job import colorize
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.job import segment
import tiny_backbone
import tiny_network

archive, voc, folder = map(Path, sys.argv[1:])
where = {"runs_dir": folder / "runs", "data_dir": folder / "data"}
tiny_network.install()
colorize(ColorizeConfig(model="tiny", archive=archive, colors=3, epochs=1, batch_size=40, **where))
tiny_backbone.install(folder)
segment(SegmentConfig(
    backbone="tiny", voc_dir=voc, classes="3", image_size=(48,), epochs=1, batch_size=5, flip=False, **where
))
assert jaxcolor.load(folder / "runs" / "tiny").predict(voc / "VOCdevkit/VOC2012/JPEGImages/x.jpg").any()
assert list((folder / "cache").rglob("features.bin"))
assert not any(name in sys.modules and sys.modules[name] for name in ("fcntl", "resource", "termios"))
"""


def test_both_tasks_train_without_posix(archive: Path, tmp_path: Path) -> None:
    voc = write_voc(tmp_path / "voc")
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(archive), str(voc), str(tmp_path)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The frozen weights are unchanged." in done.stdout
