"""Show what the network for photographs does: `python experiments/photos.py --out docs`.

Draws photographs of installed packages before and after, and at several positions of the dial, and prints
their scores.
"""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from jaxcolor import cli
from jaxcolor.data.photographs import CAMERA, PHOTOGRAPHS, load_photograph
from jaxcolor.drawing import GAP, row, sheet
from jaxcolor.images import save_image
from jaxcolor.options import read_options
from jaxcolor.painting import Colors, gray_of
from jaxcolor.photo.scores import describe, methods, score_photographs
from jaxcolor.photo.shipped import load_shipped, load_shipped_colorizer, pack
from jaxcolor.training.config import Settings

HEIGHT = 220  # pixels, of a drawn photograph
DIAL = (0.0, 0.25, 0.5, 0.75, 1.0)
DIALED = ("chelsea", "coffee", "flower")  # photographs at all positions of the dial
MEGAPIXELS = (4, 12, 100)


@dataclass(frozen=True)
class PhotosConfig(Settings):
    """Show what the network for photographs does to those of installed packages."""

    GROUPS: ClassVar = {"options": "out"}

    out: Path = Path("photos")
    """Folder for the drawings."""
    pack: Path | None = None
    """Write the file of the network that comes with jaxcolor instead, from this run."""
    time: bool = False
    """Measure time and memory at several sizes instead, each in a process of its own."""


def main() -> None:
    """Read the options, and draw or measure."""
    options = read_options(PhotosConfig)
    if options.pack:
        pack(options.pack)
        return
    if options.time:
        for megapixels in MEGAPIXELS:
            print(in_process(megapixels), flush=True)
        return
    photographs = {Path(name).stem: load_photograph(package, name) for package, name in PHOTOGRAPHS}
    model = load_shipped_colorizer()
    draw_before_and_after(options.out / "photos.jpg", model.predict, photographs)
    draw_dial(options.out / "photos-dial.jpg", model.predict, {name: photographs[name] for name in DIALED})
    scored = methods(model, load_shipped().chroma)
    print(f"{len(photographs)} photographs at full size:")
    print(describe(score_photographs(photographs.values(), scored)))


def draw_before_and_after(path: Path, color: Callable[..., Colors], photographs: dict[str, Colors]) -> None:
    """Draw each photograph gray, colored and as it was; and one that was never in color."""
    strips = {}
    for name, photograph in photographs.items():
        gray = gray_of(photograph)
        strips[name] = row([shown(gray), shown(color(gray)), shown(photograph)])
    camera = load_photograph(*CAMERA)
    strips["camera\n(gray film)"] = row([shown(camera), shown(color(camera))])
    save_image(path, sheet("Gray, colored, original", strips, GAP))


def draw_dial(path: Path, color: Callable[..., Colors], photographs: dict[str, Colors]) -> None:
    """Draw photographs at several positions of the dial, and as they were."""
    strips = {
        name: row([*(shown(color(photograph, dial)) for dial in DIAL), shown(photograph)])
        for name, photograph in photographs.items()
    }
    title = f"Vividness {', '.join(f'{dial:g}' for dial in DIAL)}, and the original"
    save_image(path, sheet(title, strips, GAP))


def shown(image: np.ndarray) -> Image.Image:
    """Return an image with the height of the drawings."""
    colors = Image.fromarray(np.asarray(image)).convert("RGB")
    return colors.resize((round(colors.width * HEIGHT / colors.height), HEIGHT), Image.Resampling.LANCZOS)


def in_process(megapixels: float) -> str:
    """Return time and memory of coloring a JPEG, in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, megapixels).result()


def measure(megapixels: float) -> str:
    """Color a JPEG of a size, from file to file: once to compile, then once more."""
    import resource  # Windows has none

    gray = Image.fromarray(gray_of(load_photograph(*PHOTOGRAPHS[5])))
    factor = (megapixels * 1e6 / (gray.width * gray.height)) ** 0.5
    large = gray.resize((round(gray.width * factor), round(gray.height * factor)), Image.Resampling.BICUBIC)
    color_file = load_shipped_colorizer().file_writer()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "large.jpg")
        large.save(source, quality=92)
        for target in ("first.jpg", "second.jpg"):
            start = time.perf_counter()
            color_file(source, Path(folder, target))
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "linux" else 2**30)
    return (
        f"{megapixels:g} megapixels: {seconds[0]:.1f} s with compiling, {seconds[1]:.1f} s after it, "
        f"peak memory {peak:.2f} GiB"
    )


if __name__ == "__main__":
    cli.run_script(main)
