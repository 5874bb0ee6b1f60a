"""The network for photographs that comes with jaxcolor: docs/photo-model.md describes it.

`pack` writes its file from a run.
"""

import json
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import safe_open
from safetensors.numpy import save

from jaxcolor.data.image_files import read_image
from jaxcolor.errors import UserError
from jaxcolor.files import write_atomically
from jaxcolor.painting import Colors
from jaxcolor.photo.chroma import CHROMA_FILE, Chroma, load_chroma
from jaxcolor.photo.config import PhotoConfig, ShippedConfig
from jaxcolor.photo.data import validation_files
from jaxcolor.photo.model import build_model
from jaxcolor.photo.predictor import PhotoColorizer, load_variables
from jaxcolor.photo.scores import describe, methods, score_photographs
from jaxcolor.photo.task import TRAINABLE
from jaxcolor.predict import predict_files
from jaxcolor.training.compilation import set_up
from jaxcolor.training.progress import Progress
from jaxcolor.training.run_folder import find_run

FILE = "photo.safetensors"
COLORED = Path("colored")  # the folder for colored images
SETTINGS = ("width", "train", "rebalance")  # those that decide what the numbers of the file mean


class Shipped(NamedTuple):
    """The contents of the file. `backbone_sha256` is that of the weights that training started from."""

    config: PhotoConfig
    chroma: Chroma
    variables: dict[str, Any]
    backbone_sha256: str


def load_shipped_colorizer() -> PhotoColorizer:
    """Return the network for photographs that comes with jaxcolor."""
    set_up("float32")
    shipped = load_shipped()
    model = build_model(shipped.config, len(shipped.chroma.centers))
    return PhotoColorizer(model, shipped.variables, shipped.chroma, shipped.config)


@cache
def load_shipped() -> Shipped:
    """Read the file. Its trained parameters are float16 there, and float32 here."""
    with as_file(files(__package__).joinpath(FILE)) as path, safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        config = PhotoConfig(**json.loads(metadata["settings"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — it is no dictionary
    chroma = Chroma(**{name: tensors.pop(f"chroma/{name}") for name in Chroma._fields})
    leaves = {name: jnp.asarray(tensor, jnp.float32) for name, tensor in tensors.items()}
    return Shipped(config, chroma, unflatten_dict(leaves, sep="/"), metadata["backbone_sha256"])


def pack(run: Path) -> None:
    """Write the file from the best checkpoint of a run: its variables, its bins and its settings."""
    folder = find_run(run, PhotoConfig.TASK)
    config = PhotoConfig.from_json(folder.read_config()["settings"])
    chroma = load_chroma(folder.path / CHROMA_FILE)
    trainable = TRAINABLE[config.train]
    tensors = {f"chroma/{name}": array for name, array in chroma._asdict().items()}
    for path, leaf in flatten_dict(load_variables(folder, "best")).items():
        dtype = np.float16 if path[0] == "params" and trainable(path[1:]) else np.float32
        tensors["/".join(path)] = np.ascontiguousarray(leaf, dtype)
    settings = {field.name: getattr(config, field.name) for field in fields(config) if field.name in SETTINGS}
    metadata = {
        "settings": json.dumps(settings),
        "backbone_sha256": folder.read_config()["weights"]["sha256"],
    }
    data = save(tensors, metadata)
    write_atomically(Path(__file__).with_name(FILE), lambda file: file.write(data))


def use(config: ShippedConfig) -> None:
    """Color files with the network that comes with jaxcolor, or print its scores. Raises `UserError`."""
    if not config.predict and not config.evaluate:
        raise UserError("give images to color with --predict")
    model = load_shipped_colorizer()
    if config.predict:
        color_file = model.file_writer(config.vividness, config.average)
        predict_files(config.predict, config.out or COLORED, color_file, keep_suffix=True)
        return
    assert config.image_dir is not None  # as the settings have checked
    photographs = validation_files(config.image_dir)
    scored = methods(model, load_shipped().chroma, config.vividness, config.average)
    with Progress(len(photographs), 0, "scoring") as progress:

        def images() -> Iterator[Colors]:
            for file in photographs:
                yield read_image(file.read(), file.name)
                progress.advance(1, "scoring")

        rows = score_photographs(images(), scored)
    print(f"{len(photographs):,} images of {config.image_dir}:\n{describe(rows)}")
