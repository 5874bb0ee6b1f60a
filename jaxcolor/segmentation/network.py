"""A DeepLabV3 with its pretrained weights, as a run's settings describe it."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import UInt8

from jaxcolor.data.examples import Size
from jaxcolor.errors import UserError
from jaxcolor.models.deeplabv3 import DeepLabV3, Given, interpolation
from jaxcolor.pretrained.deeplabv3 import load_pretrained
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.frozen import freeze, is_trained
from jaxcolor.segmentation.preprocess import resize_image
from jaxcolor.segmentation.task import features_of, predict
from jaxcolor.training.compilation import jit
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState, create_state
from jaxcolor.trees import KeyPath, flatten, unflatten

POLY_POWER = 0.9


class Network:
    """Model, pretrained variables, and what is known of these; reads the file of weights."""

    def __init__(self, config: SegmentConfig, classes: int):
        assert config.output_stride, "the settings are resolved"
        self.config = config
        dtype = jnp.bfloat16 if config.precision == "bfloat16" else jnp.float32
        self.model = DeepLabV3(config.backbone, classes, config.output_stride, config.aux, dtype)
        shapes = jax.eval_shape(self._initialize)
        pretrained = load_pretrained(config.backbone, shapes, config.weights)
        self.variables, self.facts = self._filled(pretrained.variables), pretrained.facts
        if config.train == "last" and self.facts["head"] == "new":
            raise UserError(
                f"{self.facts['file']} has no head of a DeepLabV3, and a new one has to be trained: "
                "--train head, or weights that have one"
            )
        self._predict = jit(predict)
        self.feature_shape = cache(self._feature_shape)

    def _initialize(self) -> dict[str, Any]:
        return dict(self.model.init(jax.random.key(self.config.seed), jnp.zeros((1, 64, 64, 3))))

    def _filled(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The variables with initial values for those that have but a shape.

        Random numbers for all of a ResNet-101, which pretrained ones replace, take half a minute to compile.
        """
        leaves = flatten(variables)
        new = {path for path, leaf in leaves.items() if isinstance(leaf, jax.ShapeDtypeStruct)}
        if new:
            initialize = jax.jit(lambda: {p: v for p, v in flatten(self._initialize()).items() if p in new})
            leaves |= initialize()
        return unflatten(leaves)

    def optimizer(self, steps: int) -> optax.GradientTransformation:
        """Adam, with the learning rate of the settings over so many steps."""
        if self.config.schedule == "constant":
            return optax.adam(self.config.learning_rate)
        rate = self.config.learning_rate
        return optax.adam(optax.polynomial_schedule(rate, 0.0, POLY_POWER, steps))

    def state(self, optimizer: optax.GradientTransformation) -> TrainState:
        """A state before the first step; only what is trained has anything of the optimizer's."""
        optimizer = freeze(optimizer, self.variables["params"], self.config.train)
        return create_state(self.model.apply, jax.tree.map(jnp.asarray, self.variables), optimizer)

    def check_weights(self, run: RunFolder) -> None:
        """Refuse another file of pretrained weights than the one that a run was trained on."""
        if self.facts["sha256"] != run.read_config()["weights"]["sha256"]:
            raise UserError(
                f"{run.path} was trained on other weights than {self.facts['file']}: "
                "give its own ones with --weights"
            )

    def is_kept(self, path: KeyPath) -> bool:
        """Checkpoints hold what is trained; what is frozen is in the file of pretrained weights."""
        return is_trained(path, self.config.train)

    def _feature_shape(self, size: Size, behind: Given = "backbone") -> tuple[int, int, int]:
        """Rows, columns and channels of the features of a image."""

        def features(variables: Any, images: jax.Array) -> jax.Array:
            return features_of(behind, create_state(self.model.apply, variables, optax.identity()), images)

        images = jax.ShapeDtypeStruct((1, *size, 3), jnp.uint8)
        return jax.eval_shape(features, self.variables, images).shape[1:]

    def segment(
        self, state: TrainState, image: UInt8[np.ndarray, "height width 3"], size: Size
    ) -> UInt8[np.ndarray, "height width"]:
        """The classes of a image's pixels, at its own size, seen by the network at another."""
        seen = resize_image(image, size)
        shape = self.feature_shape(size)
        rows, columns = (interpolation(n, m) for n, m in zip(image.shape[:2], shape[:2], strict=True))
        return np.asarray(self._predict(state, seen[None], rows, columns))
