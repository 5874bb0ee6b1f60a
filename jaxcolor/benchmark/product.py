"""What the product runs, in one place: how it compiles a step and sets up its process."""

from jaxcolor.colorization.task import predict_pictures
from jaxcolor.training.compilation import jit
from jaxcolor.training.memory import keep_freed_memory

__all__ = ["jit", "predict_pictures", "prepare"]


def prepare() -> None:
    """Before the first step of a process; PyTorch's programs have the same."""
    keep_freed_memory()
