"""jaxcolor: color and segment images with convolutional networks, in JAX and Flax.

    import jaxcolor

    colored = jaxcolor.load("runs/unet").predict("horse.png")

Names are imported when they are first used, so `import jaxcolor` is fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcolor.errors import UserError
    from jaxcolor.layers import Conv2d
    from jaxcolor.loading import load
    from jaxcolor.models import CNN, DeepLabV3, DilatedUNet, SegmentationNet, UNet

__version__ = "0.2.0"
__all__ = [
    "CNN", "Conv2d", "DeepLabV3", "DilatedUNet", "SegmentationNet", "UNet", "UserError", "__version__",
    "load",
]  # fmt: skip

_MODULES = {
    "CNN": "jaxcolor.models", "Conv2d": "jaxcolor.layers", "DeepLabV3": "jaxcolor.models",
    "DilatedUNet": "jaxcolor.models", "SegmentationNet": "jaxcolor.models", "UNet": "jaxcolor.models",
    "UserError": "jaxcolor.errors", "load": "jaxcolor.loading",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'jaxcolor' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
