"""Segmenting images of any size with a run's checkpoint."""

from pathlib import Path

import numpy as np

from jaxcolor.data.examples import decode_image
from jaxcolor.errors import UserError
from jaxcolor.files import write_atomically
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.drawing import as_mask, overlay_with_legend
from jaxcolor.segmentation.network import Network
from jaxcolor.segmentation.preprocess import STEP, network_sizes
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.run import find_run, prepare
from jaxcolor.training.state import TrainState


def predict_files(config: SegmentConfig) -> list[Path]:
    """Write a mask and an overlay for each of `config.predict` into the run's folder, and return them.

    All files are read before anything is written. Raises `UserError` for one that is no image.
    """
    prepare(config.precision)
    folder = find_run(config.folder)
    images = {path: decode_image(path, str(path)) for path in config.predict}
    names = [path.stem for path in images]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two images have the name {twice[0]}, and so would their masks: rename one")
    classes = folder.read_config()["dataset"]["classes"]
    network = Network(config, len(classes))
    network.check_weights(folder)
    state = restore(config, network)
    written = []
    sizes = network_sizes([image.shape[:2] for image in images.values()], config.image_size)
    for (path, image), (height, width) in zip(images.items(), sizes, strict=True):
        mask = network.segment(state, image, (max(height, STEP), max(width, STEP)))
        image, overlay = as_mask(mask), overlay_with_legend(image, mask, classes)
        for drawn, what in ((image, "mask"), (overlay, "overlay")):
            target = folder.path / "predictions" / f"{path.stem}-{what}.png"
            write_atomically(target, lambda file, drawn=drawn: drawn.save(file, format="png"))  # type: ignore[misc]
            written.append(target)
        shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
        found = ", ".join(
            f"{classes[i]} {100 * shares[i]:.0f} %" for i in np.argsort(-shares)[:4] if shares[i]
        )
        print(f"{path}: {found}; {written[-2]} and {written[-1].name}", flush=True)
    return written


def restore(config: SegmentConfig, network: Network) -> TrainState:
    """The network's state with what a checkpoint of the run holds."""
    checkpoints = Checkpoints(find_run(config.folder).checkpoints, network.is_kept)
    state = checkpoints.restore(config.checkpoint, network.state(network.optimizer(steps=1)))
    checkpoints.close()
    return state
