from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict as flatten

from jaxcolor.errors import UserError
from jaxcolor.models.deeplabv3 import BACKBONES, DeepLabV3
from jaxcolor.pretrained import deeplabv3 as module
from jaxcolor.pretrained.deeplabv3 import SOURCES, load_pretrained, tables


def variables(architecture: Any, classes: int = 21, aux: bool = False) -> dict:
    model = DeepLabV3(architecture, classes, 16, aux)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    return jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), dict(shapes))


def weights_of(architecture: Any, like: dict) -> dict[str, np.ndarray]:
    """Random weights under PyTorch's names, in the shapes of our variables."""
    ours = flatten(like)
    rng = np.random.default_rng(0)
    weights = {}
    for table in tables(architecture).values():
        for key, (path, axes) in table.items():
            if path in ours:
                shape = ours[path].shape
                shape = tuple(shape[axes.index(i)] for i in range(4)) if axes else shape
                weights[key] = rng.normal(size=shape).astype(np.float32)
    return weights


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict:
    """Replace the contents of weight files."""
    content: dict[str, Any] = {"weights": {}, "duplicates": []}
    (tmp_path / "w.pth").write_bytes(b"weights")
    monkeypatch.setattr(module, "read_pth", lambda file: (content["weights"], content["duplicates"]))
    return content | {"file": tmp_path / "w.pth", "set": content.update}


@pytest.mark.parametrize("architecture", BACKBONES)
def test_every_variable_has_one_key(architecture: Any) -> None:
    places = [place.path for table in tables(architecture).values() for place in table.values()]
    assert sorted(places) == sorted(flatten(variables(architecture, aux=True)))


def test_all_weights_are_taken(served: dict) -> None:
    like = variables("resnet50", aux=True)
    weights = weights_of("resnet50", like)
    served["set"](weights=weights)
    found = load_pretrained("resnet50", like, served["file"])
    assert all(np.any(leaf) for leaf in jax.tree.leaves(found.variables))
    kernel = found.variables["params"]["backbone"]["stem"]["kernel"]
    assert kernel[1, 2, 0, 5] == weights["backbone.conv1.weight"][5, 0, 1, 2]
    parts = ("backbone", "head", "classifier", "aux_head", "aux_classifier")
    assert [found.facts[part] for part in parts] == ["pretrained"] * 5
    assert found.facts["file"] == "w.pth"


def test_a_last_layer_for_other_classes_stays_new(served: dict) -> None:
    served["set"](weights=weights_of("resnet50", variables("resnet50", aux=True)))
    like = variables("resnet50", classes=11)
    found = load_pretrained("resnet50", like, served["file"])
    assert found.facts["classifier"] == "new"
    assert found.facts["head"] == "pretrained"
    assert not np.any(found.variables["params"]["head"]["classifier"]["kernel"])
    assert np.all(found.variables["params"]["head"]["conv"]["kernel"])
    assert "aux_head" not in found.facts


def test_so_does_that_of_the_auxiliary_head(served: dict) -> None:
    served["set"](weights=weights_of("resnet50", variables("resnet50", aux=True)))
    found = load_pretrained("resnet50", variables("resnet50", classes=11, aux=True), served["file"])
    parts = ("head", "classifier", "aux_head", "aux_classifier")
    assert [found.facts[part] for part in parts] == ["pretrained", "new", "pretrained", "new"]
    assert np.all(found.variables["params"]["aux_head"]["conv"]["kernel"])
    assert not np.any(found.variables["params"]["aux_head"]["classifier"]["kernel"])


def test_all_that_does_not_fit_is_named_at_once(served: dict) -> None:
    like = variables("resnet50")
    weights = weights_of("resnet50", like)
    weights["backbone.layer9.weight"] = np.zeros(3)
    weights["backbone.bn1.weight"] = np.zeros(5, np.float32)
    weights["classifier.2.running_var"][7] = np.nan
    del weights["backbone.layer2.1.conv3.weight"]
    served["set"](weights=weights, duplicates=["classifier.1.weight"])
    with pytest.raises(UserError) as error:
        load_pretrained("resnet50", like, served["file"])
    for problem in (
        "backbone.layer9.weight is unknown",
        "backbone.bn1.weight has shape (5,) in jaxcolor's order, not (64,)",
        "classifier.2.running_var has numbers that are not finite",
        "backbone.layer2.1.conv3.weight is missing",
        "classifier.1.weight is there twice",
    ):
        assert problem in str(error.value)


def test_the_installed_weights_of_efficientnet() -> None:
    like = variables("efficientnet-lite0", classes=5)
    found = load_pretrained("efficientnet-lite0", like)
    assert found.facts["head"] == found.facts["classifier"] == "new"
    assert all(np.any(leaf) for leaf in jax.tree.leaves(found.variables["params"]["backbone"]))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(found.variables["params"]["head"]))


def test_without_network_the_advice_is_a_local_copy() -> None:
    with pytest.raises(
        UserError, match="deeplabv3_resnet101_coco-586e9e4e.pth: give a local copy with --weights"
    ):
        SOURCES["resnet101"].locate()
