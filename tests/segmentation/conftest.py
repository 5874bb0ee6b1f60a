from collections.abc import Iterator

import pytest
import tiny_backbone

from jaxcolor.models import deeplabv3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a tiny backbone, with which the tests of a module also have a small head."""
    width = deeplabv3.WIDTH
    tiny_backbone.install(tmp_path_factory.mktemp("tiny"))
    yield tiny_backbone.NAME
    tiny_backbone.remove(width)
