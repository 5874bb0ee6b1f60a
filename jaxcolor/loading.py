"""`jaxcolor.load`: a trained network from the folder of its run."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jaxcolor.errors import UserError
from jaxcolor.files import expand_user
from jaxcolor.training.run_folder import RunFolder, find_run

if TYPE_CHECKING:
    from jaxcolor.colorization.predictor import Colorizer
    from jaxcolor.photo.predictor import PhotoColorizer
    from jaxcolor.segmentation.predictor import Segmenter

SHIPPED = "photo"


def load(
    run: str | Path, checkpoint: Literal["best", "latest"] = "best"
) -> "Colorizer | PhotoColorizer | Segmenter":
    """Return the trained network of a run; its method `predict` colors or segments images.

    `run` is the folder of a run, such as "runs/unet", or "photo" for the network that comes with jaxcolor and
    colors photographs. `checkpoint` is the best one, by the metric that `--best` has named, or the latest.
    Only the folder is read: no data set and no network are needed. Frozen weights, which a run does not
    store, come from the installed package or from the file that the run records; its hash is checked.
    Raises `UserError` if there is no run, no checkpoint, or another file of frozen weights.
    """
    if run == SHIPPED and not RunFolder(Path(run)).is_run():
        from jaxcolor.photo.shipped import load_shipped_colorizer

        return load_shipped_colorizer()
    folder = find_run(expand_user(Path(run)))
    task = folder.read_config()["task"]
    if task == "colorize":
        from jaxcolor.colorization.predictor import load_colorizer

        return load_colorizer(folder, checkpoint)
    if task == "segment":
        from jaxcolor.segmentation.predictor import load_segmenter

        return load_segmenter(folder, checkpoint)
    if task == "photo":
        from jaxcolor.photo.predictor import load_photo_colorizer

        return load_photo_colorizer(folder, checkpoint)
    raise UserError(f"{folder.path} is the run of another program ({task})")
