from collections.abc import Iterator

import pytest
import tiny_backbone
import trained_segmenter
from trained_segmenter import Trained


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a tiny backbone, with which the tests of a module also have a small head."""
    with tiny_backbone.installed(tmp_path_factory.mktemp("tiny")) as name:
        yield name


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run that the tests of a session share."""
    return trained_segmenter.train(tmp_path_factory.mktemp("trained"))
