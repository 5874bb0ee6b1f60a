import numpy as np
import pytest

from jaxcolor.training.batches import epoch_order, make_batches


def test_even_batches_have_no_padding() -> None:
    batches = make_batches(np.asarray([3, 1, 0, 2]), 2)
    np.testing.assert_array_equal(batches.indices, [[3, 1], [0, 2]])
    assert batches.valid is None


def test_batches_are_padded_to_a_multiple() -> None:
    indices, valid = make_batches(np.array([4, 3, 2, 1, 0]), 3, 2)
    np.testing.assert_array_equal(indices, [[4, 3, 2, 4], [1, 0, 4, 4]])
    np.testing.assert_array_equal(valid, [[1, 1, 1, 0], [1, 1, 0, 0]])
    indices, valid = make_batches(np.arange(8), 4, 2)
    np.testing.assert_array_equal(indices, [[0, 1, 2, 3], [4, 5, 6, 7]])
    assert valid is None


def test_the_last_batch_is_padded() -> None:
    batches = make_batches(np.asarray([4, 1, 0, 2, 3]), 2)
    np.testing.assert_array_equal(batches.indices[:2], [[4, 1], [0, 2]])
    assert batches.indices[2, 0] == 3
    np.testing.assert_array_equal(batches.valid, [[1, 1], [1, 1], [1, 0]])


def test_a_batch_larger_than_the_data_holds_all_of_it() -> None:
    batches = make_batches(np.arange(3), 1_000_000_000)
    np.testing.assert_array_equal(batches.indices, [[0, 1, 2]])
    assert batches.valid is None


@pytest.mark.parametrize("shuffle", ["once", "epoch"])
def test_orders_visit_every_image_and_repeat(shuffle) -> None:  # type: ignore[no-untyped-def]
    first = epoch_order(50, seed=1, epoch=3, shuffle=shuffle)
    np.testing.assert_array_equal(np.sort(first), np.arange(50))
    np.testing.assert_array_equal(first, epoch_order(50, seed=1, epoch=3, shuffle=shuffle))
    assert (first != epoch_order(50, seed=2, epoch=3, shuffle=shuffle)).any()
    assert (first != np.arange(50)).any()


def test_once_is_the_same_each_epoch_and_epoch_is_not() -> None:
    once, epoch = (
        [epoch_order(50, seed=0, epoch=e, shuffle=shuffle) for e in (1, 2)] for shuffle in ("once", "epoch")
    )
    np.testing.assert_array_equal(once[0], once[1])
    assert (epoch[0] != epoch[1]).any()
