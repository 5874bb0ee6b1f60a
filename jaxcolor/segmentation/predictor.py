"""Prediction: a trained network that segments images of any size."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import UInt8

from jaxcolor.data.image_files import Size, read_image
from jaxcolor.images import ImageLike, LabelMap, as_images, save_image
from jaxcolor.layers.resize import interpolation
from jaxcolor.models.segmentation import SegmentationNet
from jaxcolor.models.variables import variable_shapes
from jaxcolor.pretrained.networks import load_pretrained
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.drawing import overlay
from jaxcolor.segmentation.model import build_model, check_weights, logits_size
from jaxcolor.segmentation.preprocess import STEP, network_sizes, resize_image
from jaxcolor.segmentation.task import TRAINABLE, logits_of, predict
from jaxcolor.segmentation.views import averaged_views, windows
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.compilation import jit, set_up
from jaxcolor.training.run_folder import RunFolder, Which
from jaxcolor.training.state import TrainState, create_state

MAX_PIXELS = 4_000_000  # of an enlarged image

Pixels = UInt8[np.ndarray, "height width 3"]
Labels = UInt8[np.ndarray, "height width"]


class LabelPredictor:
    """The compiled prediction of a network, for states with any weights."""

    def __init__(self, model: SegmentationNet):
        self.model = model
        self._labels = jit(predict)
        self._probabilities = jit(lambda *arguments: jax.nn.softmax(logits_of(*arguments), axis=0))

    def __call__(
        self, state: TrainState, image: Pixels, size: Size, tta: bool = False, window: int | None = None
    ) -> Labels:
        """Return the class of each pixel. The network sees the image resized to `size` (height, width).

        With `tta` it is the class with the highest mean probability over several scales and mirror images.
        `window` is the side of windows in pixels of the image, which the network sees one by one.
        """
        rows, columns = image.shape[:2]
        labels = np.empty((rows, columns), np.uint8)
        for one in windows((rows, columns), window):
            part = image[one.seen]
            height, width = (
                max(round(seen * to / of), STEP)
                for seen, to, of in zip(part.shape[:2], size, (rows, columns), strict=True)
            )
            label = self._average if tta else self._once
            labels[one.used] = label(state, part, (height, width))[one.used_of_seen]
        return labels

    def _once(self, state: TrainState, image: Pixels, size: Size) -> Labels:
        return np.asarray(self._labels(state, *self._arguments(image, size)))

    def _average(self, state: TrainState, image: Pixels, size: Size) -> Labels:
        total: Any = 0.0
        for view, step in averaged_views(size):
            found = self._probabilities(state, *self._arguments(image[:, ::step], view))
            total = total + np.asarray(found)[:, :, ::step]
        return total.argmax(axis=0).astype(np.uint8)

    def _arguments(self, image: Pixels, size: Size) -> tuple[np.ndarray, ...]:
        """Return the resized image, and the matrices that interpolate its logits to the image's own size."""
        shape = logits_size(self.model, size)
        rows, columns = (interpolation(n, m) for n, m in zip(image.shape[:2], shape, strict=True))
        return resize_image(image, size)[None], rows, columns


def prediction_size(size: Size, resize: Sequence[int]) -> Size:
    """Return the size at which the network sees an image of any size.

    It is that of `network_sizes`, at least `STEP`. A long and narrow image is enlarged less: to at most
    `MAX_PIXELS`.
    """
    (height, width), *_ = network_sizes([size], resize)
    scale = min(1, math.sqrt(max(MAX_PIXELS, math.prod(size)) / (height * width)))
    return max(round(scale * height), STEP), max(round(scale * width), STEP)


class Segmenter:
    """A trained network and the names of its classes, as `jaxcolor.load` returns them."""

    def __init__(
        self,
        model: SegmentationNet,
        variables: Mapping[str, Any],
        classes: Sequence[str],
        image_size: Sequence[int],
    ):
        """`image_size` is that of the settings: the shorter side, height and width, or empty."""
        self.model = model
        self.classes = tuple(classes)
        self.image_size = tuple(image_size)
        self.state = create_state(model.apply, dict(variables), optax.identity())
        self._label = LabelPredictor(model)

    def predict(self, images: ImageLike, tta: bool = False, window: int | None = None) -> LabelMap:
        """Segment an image, or a batch of images of one size.

        Takes a path, a Pillow image, or a uint8 array [height, width, 3] or [n, height, width, 3]. `tta`
        (test-time augmentation) averages the probabilities of three scales and their mirror images, in about
        six times the time. With `window`, the network sees overlapping windows of so many pixels one by one,
        which needs less memory for large images. Returns a uint8 array [height, width] or [n, height, width]
        of class indices; its attribute `classes` holds the names. Raises `ValueError` for a window of less
        than 32 pixels.
        """
        if window is not None and window < STEP:
            raise ValueError(f"window must be at least {STEP}, not {window}")
        batch, is_one = as_images(images)
        size = prediction_size(batch.shape[1:3], self.image_size)
        labels = [self._label(self.state, image, size, tta, window) for image in batch]
        return LabelMap.of(labels[0] if is_one else np.stack(labels), self.classes)

    def predict_file(
        self, source: Path, target: Path, tta: bool = False, window: int | None = None
    ) -> tuple[list[Path], str]:
        """Write mask and overlay of an image file. Return their paths, and a note for the terminal."""
        image = read_image(source)
        labels = self.predict(image, tta, window)
        shares = np.bincount(labels.ravel(), minlength=len(self.classes)) / labels.size
        largest = [i for i in np.argsort(-shares)[:4] if shares[i]]
        line = ", ".join(f"{self.classes[i]} {100 * shares[i]:.0f} %" for i in largest)
        blended = overlay(image, np.asarray(labels), self.classes)
        paths = [target.with_name(f"{target.name}-{kind}.png") for kind in ("mask", "overlay")]
        for path, result in zip(paths, (labels.to_image(), blended), strict=True):
            save_image(path, result)
        return paths, f"{line}; "


def load_segmenter(run: RunFolder, checkpoint: Which) -> Segmenter:
    """Return the network of a run with the weights of a checkpoint, and frozen weights from their file."""
    record = run.read_config()
    config = SegmentConfig.from_json(record["settings"])
    set_up(config.precision)
    classes = record["dataset"]["classes"]
    model = build_model(config, len(classes))
    variables = variable_shapes(model)
    if config.train != "all":
        pretrained = load_pretrained(model.architecture, variables, config.weights, model.decoder)
        check_weights(pretrained.facts, record["weights"], run.path)
        variables = pretrained.variables
    with Checkpoints(run.checkpoints, TRAINABLE[config.train], config.best) as checkpoints:
        variables = checkpoints.restore_weights(checkpoint, variables)
    return Segmenter(model, jax.tree.map(jnp.asarray, variables), classes, config.image_size)
