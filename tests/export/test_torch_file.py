"""The .pth files, read by jaxcolor without PyTorch, and by PyTorch."""

import io
from pathlib import Path
from typing import Any

import exported
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxcolor.errors import UserError
from jaxcolor.export.torch_file import REFERENCE, TORCHVISION, torch_file, write_pth
from jaxcolor.models import MODELS, SegmentationNet
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.pretrained.pth import read_pth

ASSIGNMENT = {
    "filters": 4, "colors": 6, "kernel_size": 3, "dilation": None, "downsize_input": False
}  # fmt: skip


def variables_of(model: Any, channels: int = 3) -> dict[tuple[str, ...], np.ndarray]:
    found = flatten_dict(exported.random_variables(model, channels))
    return {path: np.asarray(leaf) for path, leaf in found.items()}


def test_jaxcolor_reads_what_it_writes(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "b": np.array(7, np.int64),
        "ü": np.zeros((0, 3), np.float32),
    }
    (tmp_path / "a.pth").write_bytes(write_pth(arrays))
    found = read_pth(tmp_path / "a.pth").arrays
    assert found.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_computes_the_same(name: str) -> None:
    torch = pytest.importorskip("torch")
    from reference import colorization

    model = MODELS[name](filters=4, colors=6)
    variables = exported.random_variables(model, 1)
    flat = {path: np.asarray(leaf) for path, leaf in flatten_dict(variables).items()}
    data, network = torch_file(ASSIGNMENT | {"model": name}, flat)
    assert network["module"] == "experiments/reference/colorization.py"
    theirs = getattr(colorization, network["class"])(**network["arguments"])
    theirs.load_state_dict(torch.load(io.BytesIO(data), weights_only=True), strict=True)
    theirs.eval()
    images = np.random.default_rng(0).uniform(0, 1, (2, 16, 24, 1)).astype(np.float32)
    with torch.inference_mode():
        found = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    wanted = jax.jit(model.apply)(variables, jnp.asarray(images))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(("head", "backbone"), TORCHVISION)
@pytest.mark.parametrize("aux", [True, False])
def test_torchvision_loads_all_weights(head: str, backbone: str, aux: bool) -> None:
    torch = pytest.importorskip("torch")
    if "101" in backbone and aux:
        pytest.skip("large, and the same as a ResNet-50")
    if head == "lraspp" and aux:
        pytest.skip("torchvision's has no auxiliary head")
    segmentation = pytest.importorskip("torchvision.models.segmentation")
    model = SegmentationNet(backbone, 3, TORCHVISION[head, backbone], aux, jnp.float32, head)
    settings = {"head": head, "backbone": backbone, "output_stride": model.output_stride, "aux": aux}
    data, network = torch_file(settings, variables_of(model))
    options = {} if head == "lraspp" else {"aux_loss": network["aux_loss"]}
    theirs = getattr(segmentation, network["function"])(
        weights=None, weights_backbone=None, num_classes=3, **options
    )
    theirs.load_state_dict(torch.load(io.BytesIO(data), weights_only=True), strict=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "resunet"}, "there is no resunet in PyTorch"),
        ({"head": "fpn", "backbone": "resnet50", "output_stride": 32}, "torchvision has no fpn on resnet50"),
        ({"head": "fcn", "backbone": "resnet50", "output_stride": 16}, "has the output stride 8, not 16"),
    ],
)
def test_what_pytorch_lacks_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        torch_file(settings, {})


def test_the_output_strides_are_the_defaults_of_the_backbones() -> None:
    assert all(stride == BACKBONES[backbone].output_stride for (_, backbone), stride in TORCHVISION.items())
