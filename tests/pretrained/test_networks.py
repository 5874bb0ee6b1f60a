from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
import tiny_backbone
from flax.traverse_util import flatten_dict as flatten
from pth_files import Fake, write_weights
from safetensors.numpy import save_file

from jaxcolor.errors import UserError
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.segmentation import SegmentationNet
from jaxcolor.models.variables import variable_shapes
from jaxcolor.pretrained import networks as module
from jaxcolor.pretrained.networks import describe, load_pretrained, tables
from jaxcolor.pretrained.state_dict import StateDict


def variables(architecture: Any, classes: int = 21, aux: bool = False, head: str = "deeplabv3") -> dict:
    shapes = variable_shapes(SegmentationNet(architecture, classes, 16, aux, decoder=head))
    return jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)


def weights_of(architecture: Any, like: dict, head: str = "deeplabv3") -> dict[str, np.ndarray]:
    """Random weights under PyTorch's names, in the shapes of our variables."""
    ours = flatten(like)
    rng = np.random.default_rng(0)
    weights = {}
    for table in tables(architecture, head).values():
        for key, (path, axes) in table.items():
            if path in ours:
                shape = ours[path].shape
                shape = tuple(shape[axes.index(i)] for i in range(4)) if axes else shape
                weights[key] = rng.normal(size=shape).astype(np.float32)
                if path[-1] == "variance":
                    weights[key] = abs(weights[key])
    return weights


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict:
    """Replace the contents of weight files."""
    content: dict[str, Any] = {"weights": {}, "duplicates": []}
    (tmp_path / "w.pth").write_bytes(b"weights")
    monkeypatch.setattr(
        module, "read_weights", lambda file: StateDict(content["weights"], content["duplicates"], ())
    )
    return content | {"file": tmp_path / "w.pth", "set": content.update}


@pytest.mark.parametrize(
    ("architecture", "head"),
    [*((name, "deeplabv3") for name in BACKBONES), ("resnet50", "fcn"), ("mobilenet-v3-large", "lraspp")],
)
def test_every_variable_has_one_key(architecture: Any, head: str) -> None:
    places = [place.path for table in tables(architecture, head).values() for place in table.values()]
    assert sorted(places) == sorted(flatten(variables(architecture, aux=True, head=head)))


def test_each_head_has_its_published_file(tmp_path: Path) -> None:
    files = {"fcn": lambda: tmp_path / "fcn.pth"}
    backbone = BACKBONES["resnet50"]._replace(published=lambda: tmp_path / "w.pth", with_heads=files)
    found = [backbone.locate(head).name for head in ("deeplabv3", "fpn", "fcn")]
    assert found == ["w.pth", "w.pth", "fcn.pth"]


@pytest.mark.parametrize(
    ("head", "in_file"),
    [
        ("fcn", "deeplabv3"), ("deeplabv3", "fcn"), ("fpn", "fcn"), ("fcn", "fcn"),
        ("lraspp", "deeplabv3"), ("deeplabv3", "lraspp"), ("lraspp", "lraspp"),
    ],
)  # fmt: skip
def test_another_head_stays_new(served: dict, head: str, in_file: str) -> None:
    name = "mobilenet-v3-large"
    served["set"](weights=weights_of(name, variables(name, aux=True, head=in_file), in_file))
    found = load_pretrained(name, variables(name, aux=True, head=head), served["file"], head)
    parts = ("backbone", "head", "classifier", "aux_head", "aux_classifier")
    state = "pretrained" if head == in_file else "new"
    assert [found.facts[part] for part in parts] == ["pretrained", state, state, "pretrained", "pretrained"]
    for part, leaves in found.variables["params"].items():
        assert all(np.any(leaf) == (part != "head" or head == in_file) for leaf in jax.tree.leaves(leaves))


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


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_the_installed_weights_of_efficientnet(name: str) -> None:
    like = variables(name, classes=5)
    found = load_pretrained(name, like)
    assert found.facts["head"] == found.facts["classifier"] == "new"
    assert all(np.any(leaf) for leaf in jax.tree.leaves(found.variables["params"]["backbone"]))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(found.variables["params"]["head"]))


def test_without_network_the_advice_is_a_local_copy() -> None:
    with pytest.raises(
        UserError, match="deeplabv3_resnet101_coco-586e9e4e.pth: give a local copy with --weights"
    ):
        BACKBONES["resnet101"].locate("deeplabv3")


@pytest.fixture(scope="module")
def like(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Variables of a DeepLabV3 on the tiny backbone, which is installed meanwhile."""
    with tiny_backbone.installed(tmp_path_factory.mktemp("tiny")) as name:
        yield variables(name, classes=3)


def with_prefix(prefix: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {prefix + key: array for key, array in weights.items()}


def check_same(found: dict, expected: dict) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module.", "backbone."]
)
@pytest.mark.parametrize("entry", [None, "model"])
def test_prefixes_and_entries_change_nothing(
    like: dict, prefix: str, entry: str | None, tmp_path: Path
) -> None:
    weights = weights_of("tiny", like)
    beside = {"epoch": 3, "args": Fake("argparse", "Namespace", 1)}
    plain = load_pretrained("tiny", like, write_weights(tmp_path / "plain.pth", weights))
    backbone = weights.keys() & tables("tiny")["backbone"].keys()
    # Only the backbone of a DeepLabV3 is under "backbone.".
    renamed = {
        prefix + key: array for key, array in weights.items() if prefix != "backbone." or key in backbone
    }
    renamed |= {key: array for key, array in weights.items() if prefix == "backbone." and key not in backbone}
    path = write_weights(tmp_path / "w.pth", renamed, entry, beside)
    found = load_pretrained("tiny", like, path)
    check_same(found.variables, plain.variables)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(found.variables))
    assert found.facts.get("entry") == entry
    assert found.facts.get("prefix") == (prefix if prefix != "backbone." else None)
    assert "left_out" not in found.facts


def test_the_line_about_a_file(like: dict, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    write_weights(path, tiny_backbone.weights())
    plain = describe(load_pretrained("tiny", like, path).facts)
    assert plain == "w.pth: the weights; backbone: pretrained, head: new, classifier: new"
    others = {"criterion.weight": np.ones(2), "n_averaged": np.ones(1), "x.num_batches_tracked": np.ones(1)}
    write_weights(path, with_prefix("module.", tiny_backbone.weights()) | others, "model")
    facts = load_pretrained("tiny", like, path).facts
    assert facts["left_out"] == ["criterion.weight", "n_averaged"]
    assert describe(facts) == (
        "w.pth: the weights under 'model', without the prefix 'module.'; left out: criterion.weight and "
        "n_averaged; backbone: pretrained, head: new, classifier: new"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_safetensors_of_every_precision(like: dict, dtype: Any, tmp_path: Path) -> None:
    weights = {key: array.astype(dtype) for key, array in weights_of("tiny", like).items()}
    save_file(with_prefix("model.", weights), tmp_path / "W.SafeTensors")
    found = load_pretrained("tiny", like, tmp_path / "W.SafeTensors")
    exact = {key: array.astype(np.float32) for key, array in weights.items()}
    expected = load_pretrained("tiny", like, write_weights(tmp_path / "w.pth", exact))
    check_same(found.variables, expected.variables)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(found.variables))
    assert found.facts["prefix"] == "model."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            lambda w: with_prefix("a.", w) | with_prefix("b.", w),
            "several networks: keys start with 'a.' and 'b.'",
        ),
        (lambda w: w | with_prefix("ema.", w), "several networks: keys start with '' and 'ema.'; save one"),
        (
            lambda w: w | {"backbone.last.conv.weight": w["last.conv.weight"]},
            "last.conv.weight is there twice",
        ),
        (
            lambda w: (
                with_prefix("module.", {k: v for k, v in w.items() if k != "last.norm.bias"})
                | {"last.norm.bias": w["last.norm.bias"]}
            ),
            "does not fit tiny: last.norm.bias is missing; last.norm.bias lacks the prefix 'module.'$",
        ),
        (
            lambda w: with_prefix("model.", w | {"x.y": w["last.norm.bias"]}),
            "does not fit tiny: x.y is unknown$",
        ),
        (
            lambda w: (
                {f"net.features.{i}.weight": np.ones(1) for i in range(99)} | {"net.fc2.bias": np.ones(1)}
            ),
            r"does not fit tiny: last.conv.weight, last.norm.bias and 8 more are missing; "
            r"net.fc2.bias, net.features.0.weight and 98 more are unknown; "
            r"its 100 keys start with 'net.features' \(99\), 'net.fc2' \(1\)$",
        ),
    ],
)
def test_what_does_not_fit_is_told_shortly(
    like: dict, content: Callable[[dict], dict], message: str, tmp_path: Path
) -> None:
    path = write_weights(tmp_path / "w.pth", content(tiny_backbone.weights()))
    with pytest.raises(UserError, match=message) as error:
        load_pretrained("tiny", like, path)
    assert len(str(error.value)) < 400


def test_a_file_for_another_backbone_is_recognized(like: dict, tmp_path: Path) -> None:
    weights = dict.fromkeys(tables("resnet101")["backbone"], np.ones(1))
    path = write_weights(tmp_path / "w.pth", with_prefix("module.", weights))
    for asked, variables_of in (("tiny", like), ("resnet50", variables("resnet50"))):
        with pytest.raises(UserError, match="; it holds resnet101: choose --backbone resnet101$") as error:
            load_pretrained(asked, variables_of, path)
        assert len(str(error.value)) < 500


def test_two_backbones_may_have_the_same_keys(tmp_path: Path) -> None:
    weights = dict.fromkeys(tables("efficientnet-lite2")["backbone"], np.ones(1))
    path = write_weights(tmp_path / "w.pth", weights)
    with pytest.raises(UserError, match="holds efficientnet-lite1 or efficientnet-lite2: choose --backbone"):
        load_pretrained("resnet50", variables("resnet50"), path)
    with pytest.raises(UserError, match="does not fit efficientnet-lite1: ") as error:
        load_pretrained("efficientnet-lite1", variables("efficientnet-lite1"), path)
    assert "it holds" not in str(error.value)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
@pytest.mark.parametrize("prefix", ["", "module.", "encoder."])
def test_an_imagenet_classifier_gives_the_backbone(served: dict, backbone: str, prefix: str) -> None:
    like = variables(backbone, classes=11)
    whole = weights_of(backbone, like)
    served["set"](weights=whole)
    expected = load_pretrained(backbone, like, served["file"]).variables
    classifier = {
        key.removeprefix("backbone."): array for key, array in whole.items() if key.startswith("backbone.")
    }
    classifier |= {
        "fc.weight": np.ones((1000, 2048)),
        "fc.bias": np.ones(1000),
        "bn1.num_batches_tracked": np.ones(1),
    }
    served["set"](weights=with_prefix(prefix, classifier))
    found = load_pretrained(backbone, like, served["file"])
    for collection in ("params", "batch_stats"):
        check_same(found.variables[collection]["backbone"], expected[collection]["backbone"])
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(found.variables["params"]["head"]))
    assert found.facts["left_out"] == [f"{prefix}fc.weight", f"{prefix}fc.bias"]
    assert (found.facts["backbone"], found.facts["head"]) == ("pretrained", "new")


def test_what_pytorch_saves_of_wrapped_networks(like: dict, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    network = torch.nn.Module()
    for name, (ins, outs, size) in tiny_backbone.CONVOLUTIONS.items():
        block = torch.nn.Module()
        block.conv, block.norm = torch.nn.Conv2d(ins, outs, size, bias=False), torch.nn.BatchNorm2d(outs)
        setattr(network, name, block)
    expected = network.stem.conv.weight.detach().numpy().transpose(2, 3, 1, 0)
    averaged = torch.optim.swa_utils.AveragedModel(network)
    half = {key: value.bfloat16() for key, value in network.state_dict().items()}
    for content, prefix, left_out in (
        (torch.nn.DataParallel(network).state_dict(), "module.", None),
        (averaged.state_dict(), "module.", ["n_averaged"]),
        ({"state_dict": half}, None, None),
    ):
        torch.save(content, tmp_path / "w.pth")
        found = load_pretrained("tiny", like, tmp_path / "w.pth")
        assert (found.facts.get("prefix"), found.facts.get("left_out")) == (prefix, left_out)
        kernel = found.variables["params"]["backbone"]["stem"]["kernel"]
        np.testing.assert_allclose(kernel, expected, rtol=0 if prefix else 2**-8)
