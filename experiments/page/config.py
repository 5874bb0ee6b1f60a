"""The settings of the page. This module imports nothing heavy, so `--help` is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jaxcolor.training.config import Settings, require

MOST_MEGAPIXELS = 250  # Pillow takes larger images for an attack
BYTES_PER_PIXEL = 8  # of the largest image file: 16 bits for red, green, blue and alpha


@dataclass(frozen=True)
class DemoConfig(Settings):
    """Color and segment images on a page in the browser.

    Images stay on this machine: the page loads and sends nothing elsewhere.
    """

    GROUPS: ClassVar = {"server": "port"}

    port: int = 7860
    """Port of the page; 0 takes a free one."""
    host: str = "127.0.0.1"
    """Address to listen on. The default is for this computer alone, 0.0.0.0 for all that can reach it."""
    runs_dir: Path = Path("runs")
    """Folder of the runs that the page offers."""
    max_megapixels: float = 50.0
    """The largest image that the page accepts, in millions of pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.port < 2**16, "port", "0 to 65535", self.port)
        good = 0 < self.max_megapixels <= MOST_MEGAPIXELS
        require(good, "max_megapixels", f"above 0 and at most {MOST_MEGAPIXELS}", self.max_megapixels)

    @property
    def most_pixels(self) -> int:
        """The number of pixels of the largest image."""
        return round(self.max_megapixels * 1e6)

    @property
    def most_bytes(self) -> int:
        """The size of the largest file."""
        return BYTES_PER_PIXEL * self.most_pixels
