"""A trainer on few small images, whose programs the tests share."""

import numpy as np
import pytest
from analysis.trainings import Trainer

from jaxcolor.colorization.data import Dataset
from jaxcolor.data.photographs import load_sample

PALETTE = np.asarray([[0.1, 0.1, 0.1], [0.5, 0.4, 0.3], [0.4, 0.5, 0.7], [0.9, 0.9, 0.9]], np.float32)


@pytest.fixture(scope="session")
def images() -> Dataset:
    """70 to train on and 12 to validate on, of 8×8 pixels."""
    train, validation = load_sample(8)
    return Dataset(train[:70], validation[:12], {"name": "sample", "train": 70, "validation": 12})


@pytest.fixture(scope="session")
def trainer(images: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return Trainer(images, PALETTE, tmp_path_factory.mktemp("trainings"))
