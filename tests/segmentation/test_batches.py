import tracemalloc
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from voc_layout import write_voc

from jaxcolor.data.examples import Example
from jaxcolor.data.label_maps import VOID, LabelFormat
from jaxcolor.data.voc_examples import VocExamples, open_folder
from jaxcolor.errors import UserError
from jaxcolor.layers.resize import interpolate
from jaxcolor.segmentation.batches import (
    NO_AUGMENTATION,
    Augmentation,
    ResizedExamples,
    Sample,
    assemble,
    group_batches,
    load_batches,
)


@pytest.fixture
def examples(tmp_path: Path) -> VocExamples:
    layout = open_folder(write_voc(tmp_path, {"b": (30, 40), "d": (30, 40)}))
    return VocExamples(layout, layout.names("train"), LabelFormat(3))


def test_batches_hold_one_group_each_and_every_image_once() -> None:
    groups = ["a", "b", "a", "a", "b", "a", "a"]
    batches = group_batches(groups, np.array([6, 1, 0, 4, 2, 5, 3]), 2)
    assert [batch.tolist() for batch in batches] == [[6, 0], [1, 4], [2, 5], [3]]


def test_a_batch_is_padded_with_void() -> None:
    sample = Sample(np.ones((2, 2, 3), np.uint8), np.array([[0, 1], [1, VOID]], np.uint8))
    batch = assemble([sample] * 3, np.array([True, True, False]))
    assert batch["inputs"].shape == (3, 2, 2, 3)
    features = Sample((np.ones((2, 2, 3)), np.ones((1, 1, 5))), sample.labels)
    both = assemble([features] * 2, np.ones(2, bool))["inputs"]
    assert [array.shape for array in both] == [(2, 2, 2, 3), (2, 1, 1, 5)]
    assert batch["valid"].tolist() == [1, 1, 0]
    assert (batch["labels"][2] == VOID).all()
    np.testing.assert_array_equal(batch["labels"][1], sample.labels)


def test_training_labels_have_the_networks_size_and_validation_labels_their_own(
    examples: VocExamples,
) -> None:
    train = ResizedExamples(examples, (32,), True, None, 0)
    assert train.sizes == [(32, 43)] * 5
    sample = train.sample(1, NO_AUGMENTATION)
    assert np.shape(sample.inputs) == (32, 43, 3)
    assert sample.labels.shape == (32, 43)
    validation = ResizedExamples(examples, (32,), False, None, 0)
    assert validation.sample(1, NO_AUGMENTATION).labels.shape == (30, 40)
    assert validation.groups()[0] != validation.groups()[1]


def test_flips_are_mirrors(examples: VocExamples) -> None:
    split = ResizedExamples(examples, (), True, None, 0)
    plain, flipped = split.sample(0, NO_AUGMENTATION), split.sample(0, Augmentation(flip=True, epoch=0))
    np.testing.assert_array_equal(np.asarray(flipped.inputs), np.asarray(plain.inputs)[:, ::-1])
    np.testing.assert_array_equal(flipped.labels, plain.labels[:, ::-1])


def test_crops_follow_from_seed_epoch_and_image(examples: VocExamples) -> None:
    split = ResizedExamples(examples, (), True, 32, 0)
    assert set(split.sizes) == {(32, 32)}
    first = split.sample(0, NO_AUGMENTATION)
    np.testing.assert_array_equal(first.inputs, split.sample(0, NO_AUGMENTATION).inputs)
    assert np.any(first.inputs != split.sample(0, Augmentation(flip=False, epoch=2)).inputs)


def test_crops_are_cut_from_the_resized_image(examples: VocExamples) -> None:
    sizes = {}
    for resize in ((), (64,), (64, 128)):
        split = ResizedExamples(examples, resize, True, 160, 0, scales=(1, 1))
        labels = split.sample(0, NO_AUGMENTATION).labels  # at the top left; the rest is void
        inside = labels != VOID
        sizes[resize] = (int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum()))
    height, width = examples.sizes[0]
    assert sizes == {
        (): (height, width),
        (64,): (64, round(64 / height * width)),
        (64, 128): (64, 128),
    }


def test_interpolations_reach_the_size_of_the_label_map(examples: VocExamples) -> None:
    split = ResizedExamples(examples, (64, 64), False, None, 0)
    matrices = split.interpolations(1, (8, 8, 5))
    logits = jax.random.normal(jax.random.key(0), (1, 8, 8, 2))
    large = interpolate(logits, jnp.asarray(matrices["rows"]), jnp.asarray(matrices["columns"]))
    expected = jax.image.resize(logits, (1, 30, 40, 2), "bilinear", antialias=False)
    np.testing.assert_allclose(large, expected, atol=1e-5)


def test_loading_keeps_the_order_and_passes_errors_on(
    examples: VocExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = ResizedExamples(examples, (32, 32), True, None, 0)
    batches = [np.array([4, 0]), np.array([2])]

    def more(index: int) -> dict[str, np.ndarray]:
        return {"index": np.array(index)}

    loaded = list(load_batches(batches, lambda i: split.sample(i, NO_AUGMENTATION), 2, more))
    assert [batch["index"].tolist() for batch in loaded] == [[4, 0], [2, 2]]
    np.testing.assert_array_equal(loaded[1]["inputs"][0], split.sample(2, NO_AUGMENTATION).inputs)

    def fail(self: VocExamples, index: int) -> Example:
        raise UserError("a.jpg is broken")

    monkeypatch.setattr(VocExamples, "__getitem__", fail)
    broken = ResizedExamples(examples, (32, 32), True, None, 0)
    with pytest.raises(UserError, match="a.jpg is broken"):
        list(load_batches(batches, lambda i: broken.sample(i, NO_AUGMENTATION), 2))


class Many:
    """Images of 480 MB together, generated on access."""

    names = tuple(map(str, range(1000)))
    sizes = ((400, 400),) * 1000
    fingerprint = "many"

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Example:
        return Example(
            self.names[index], np.full((400, 400, 3), index % 256, np.uint8), np.zeros((400, 400), np.uint8)
        )


def test_a_data_set_is_never_in_memory_as_a_whole() -> None:
    split = ResizedExamples(Many(), (), True, None, 0)
    batches = group_batches(split.groups(), np.arange(1000), 8)
    tracemalloc.start()
    try:
        for number, batch in enumerate(load_batches(batches, lambda i: split.sample(i, NO_AUGMENTATION), 8)):
            assert batch["inputs"][0, 0, 0, 0] == number * 8 % 256
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert number == 124
    assert peak < 60e6  # a few batches of 5 MB, and the images that they are stacked from
