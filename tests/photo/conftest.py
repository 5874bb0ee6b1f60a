from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pth_files import write_weights

from jaxcolor.models import efficientnet
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.variables import variable_shapes
from jaxcolor.photo.model import ARCHITECTURE
from jaxcolor.pretrained.weight_files import read_weights


@pytest.fixture
def short_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the first block of each stage of the backbone, with its weights: it compiles twice as fast."""
    stages, backbone = efficientnet.STAGES, BACKBONES[ARCHITECTURE]
    ends = np.cumsum([stage.blocks for stage in stages])
    firsts = [0, *ends[:-1].tolist()]
    weights = {}
    for key, array in read_weights(backbone.published()).arrays.items():
        name, *rest = key.split(".")
        if name == "_blocks" and int(rest[0]) in firsts:
            weights[".".join([name, str(firsts.index(int(rest[0]))), *rest[1:]])] = array
        elif name in ("_conv_stem", "_bn0"):
            weights[key] = array
    path = write_weights(tmp_path / "short.pth", weights)
    monkeypatch.setattr(efficientnet, "STAGES", tuple(stage._replace(blocks=1) for stage in stages))
    monkeypatch.setitem(BACKBONES, ARCHITECTURE, backbone._replace(published=lambda: path))
    variable_shapes.cache_clear()
    yield
    variable_shapes.cache_clear()
