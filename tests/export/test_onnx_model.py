"""Every network in onnxruntime, at two sizes and for two numbers of images."""

from typing import Any

import exported
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.errors import UserError
from jaxcolor.export.programs import Model, program_of
from jaxcolor.models import MODELS

onnxruntime = pytest.importorskip("onnxruntime")

from jaxcolor.export.onnx_model import to_onnx

TOLERANCE = 1e-4  # of the largest logit
AGREEMENT = 0.9999  # share of pixels with the same label


def session_of(model: Model) -> Any:
    """Return the exported network in onnxruntime."""
    program = program_of(model)
    traced = program.trace()
    data = to_onnx(traced.jaxpr, [*program.inputs], sorted(traced.out_info), {"made": "here"})
    return onnxruntime.InferenceSession(data.SerializeToString())


def run(session: Any, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs by their names."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def check_logits(model: Model, found: dict[str, np.ndarray], *inputs: np.ndarray) -> None:
    """Compare the logits with those that the network computes here in its fast way."""
    wanted = np.asarray(jax.jit(program_of(model).function)(*inputs)["logits"])
    assert found["logits"].shape == wanted.shape
    assert np.abs(found["logits"] - wanted).max() < TOLERANCE * np.abs(wanted).max()


@pytest.mark.parametrize("name", MODELS)
def test_colorization_networks(name: str) -> None:
    model = exported.colorizer(name, prior=name == "resunet")
    session = session_of(model)
    for images in (exported.random_images(1, 40, 50), exported.random_images(2, 64, 33)):
        found = run(session, images=images)
        check_logits(model, found, images)
        colored = np.asarray(model.predict(images))
        assert (found["colored"] == colored).all(axis=-1).mean() >= AGREEMENT
        np.testing.assert_array_equal(found["labels"], found["logits"].argmax(-1))


@pytest.mark.parametrize(
    ("name", "options"),
    [("unet", {"downsize_input": True}), ("strided-unet", {"kernel_size": 5}), ("cnn", {"kernel_size": 1})],
)
def test_other_settings(name: str, options: dict[str, Any]) -> None:
    model = exported.colorizer(name, **options)
    images = exported.random_images(2, 33, 48)
    check_logits(model, run(session_of(model), images=images), images)


@pytest.mark.parametrize(
    ("backbone", "head", "stride"),
    [
        ("resnet18", "deeplabv3", 16),
        ("resnet34", "fcn", 8),
        pytest.param("resnet50", "deeplabv3", 8, marks=pytest.mark.slow),
        pytest.param("resnet101", "fcn", 8, marks=pytest.mark.slow),
        ("mobilenet-v3-large", "lraspp", 16),
        ("efficientnet-lite0", "fpn", 32),
        ("efficientnet-lite1", "deeplabv3plus", 16),
        ("efficientnet-lite0", "deeplabv3plus-separable", 16),
        ("efficientnet-lite2", "deeplabv3", 16),
    ],
)
def test_segmentation_networks(backbone: str, head: str, stride: int) -> None:
    model = exported.segmenter(backbone, head, stride)
    session = session_of(model)
    for images in (exported.random_images(1, 65, 97), exported.random_images(2, 64, 46)):
        found = run(session, images=images)
        check_logits(model, found, images)
        labels = np.asarray(model.predict(images))
        assert (found["labels"] == labels).mean() >= AGREEMENT


def test_the_network_for_photographs() -> None:
    model = exported.photo_colorizer()
    session = session_of(model)
    vividness = np.asarray(0.7, np.float32)
    for images in (exported.random_images(1, 64, 96), exported.random_images(2, 96, 64)):
        found = run(session, images=images, vividness=vividness)
        check_logits(model, found, images, vividness)
        wanted = jax.jit(program_of(model).function)(images, vividness)
        np.testing.assert_allclose(found["chroma"], wanted["chroma"], atol=1e-5)
        assert np.abs(found["colored"].astype(int) - np.asarray(wanted["colored"])).max() <= 1
        assert found["colored"].std() > 10


def test_bfloat16_becomes_float32() -> None:
    narrow = exported.segmenter("resnet18", "fcn", 16, jnp.bfloat16)
    exact = exported.segmenter("resnet18", "fcn", 16)
    images = exported.random_images(1, 64, 64)
    check_logits(exact, run(session_of(narrow), images=images), images)


def test_what_onnx_lacks_is_one_line() -> None:
    model = exported.colorizer("cnn")
    original = model.state.apply_fn
    model.state = model.state.replace(
        apply_fn=lambda *args, **kwargs: jnp.cumsum(original(*args, **kwargs), axis=1)
    )
    with pytest.raises(UserError, match=r"the network computes \w+ in a way that --to onnx does not know"):
        session_of(model)


def test_a_network_that_needs_sizes_is_one_line() -> None:
    model = exported.colorizer("cnn")
    model.state = model.state.replace(
        apply_fn=lambda variables, x, **_: jnp.zeros(x.shape)[:, range(x.shape[1])]
    )
    with pytest.raises(UserError, match="cannot be traced for images of any size"):
        session_of(model)


def test_metadata_is_in_the_file() -> None:
    assert session_of(exported.colorizer("cnn")).get_modelmeta().custom_metadata_map == {"made": "here"}
