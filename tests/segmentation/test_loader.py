from pathlib import Path

import numpy as np
from voc_layout import write_voc

from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import load_dataset
from jaxcolor.segmentation.loader import Loader
from jaxcolor.segmentation.model import build_model, load_variables
from jaxcolor.training.state import TrainState, create_state


def make(tiny: str, folder: Path, **settings: object) -> tuple[Loader, TrainState]:
    """Return a loader of five images whose left half is class 1 and whose right half is class 2."""
    import optax

    config = SegmentConfig(
        backbone=tiny, voc_dir=write_voc(folder), classes="3", batch_size=2, image_size=(48,),
        cache=False, **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    model = build_model(config, 3)
    state = create_state(model.apply, load_variables(model, config).variables, optax.identity())
    return Loader(config, load_dataset(config), model, "fingerprint"), state


def flips(loader: Loader, state: TrainState, epoch: int) -> list[bool]:
    """Return which images of an epoch are mirrored, in their order."""
    batches = list(loader.train_batches(state, epoch))
    return [
        bool(labels[20, 10] == 2)
        for batch in batches
        for labels, valid in zip(batch["labels"], batch["valid"], strict=True)
        if valid
    ]


def test_half_of_the_images_are_mirrored_anew_in_each_epoch(tiny: str, tmp_path: Path) -> None:
    loader, state = make(tiny, tmp_path)
    drawn = [flips(loader, state, epoch) for epoch in range(1, 41)]
    assert 75 < sum(map(sum, drawn)) < 125  # of 200
    assert len({tuple(one) for one in drawn}) > 10
    assert flips(loader, state, 1) == drawn[0]


def test_no_flip_mirrors_nothing(tiny: str, tmp_path: Path) -> None:
    loader, state = make(tiny, tmp_path, flip=False)
    assert not any(flips(loader, state, 1))


def test_an_epoch_has_every_image_once_and_the_last_batch_is_padded(tiny: str, tmp_path: Path) -> None:
    loader, state = make(tiny, tmp_path)
    batches = list(loader.train_batches(state, 1))
    assert len(batches) == loader.steps() == 3
    assert [batch["valid"].tolist() for batch in batches] == [[1, 1], [1, 1], [1, 0]]
    images = np.concatenate([batch["inputs"] for batch in batches])[:5]
    assert len(np.unique(images.reshape(5, -1), axis=0)) == 5
    assert loader.after == "images"


def test_validation_keeps_the_order_and_adds_interpolations(tiny: str, tmp_path: Path) -> None:
    loader, state = make(tiny, tmp_path)
    indices, batches = loader.validation_batches(state)
    assert [part.tolist() for part in indices] == [[0, 1], [2]]
    first = next(iter(batches))
    assert first["rows"].shape == (2, 48, 3)
    assert first["columns"].shape == (2, 64, 4)
