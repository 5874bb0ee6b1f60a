from typing import Any

import ml_dtypes
import numpy as np
import pytest

from jaxcolor.errors import UserError
from jaxcolor.pretrained.keys import (
    MISSING,
    UNKNOWN,
    Problem,
    batch_norm,
    conv,
    from_torch,
    list_keys,
    report,
)

TABLE = conv("conv", ("layer",), bias=True)
LIKE: dict[str, Any] = {
    "params": {"layer": {"kernel": np.zeros((1, 1, 2, 3), np.float32), "bias": np.zeros(3, np.float32)}}
}


def weights(dtype: Any = np.float32) -> dict[str, np.ndarray]:
    return {"conv.weight": np.arange(6).reshape(3, 2, 1, 1).astype(dtype), "conv.bias": np.ones(3, dtype)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_floats_of_any_size_become_those_of_the_network(dtype: Any) -> None:
    found = from_torch(weights(dtype), TABLE, LIKE)["params"]["layer"]
    assert (found["kernel"].dtype, found["bias"].dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(found["kernel"], np.array([[[[0, 2, 4], [1, 3, 5]]]]))
    np.testing.assert_array_equal(found["bias"], [1, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv.bias": np.ones(3, np.int8)}, "conv.bias has numbers of type int8, not floats"),
        ({"conv.bias": np.full(3, 1e300)}, "conv.bias has numbers that are not finite"),
        ({"conv.bias": np.full(3, np.nan, ml_dtypes.bfloat16)}, "conv.bias has numbers that are not finite"),
        ({"conv.bias": np.float32(1)}, r"conv.bias has shape \(\) in jaxcolor's order, not \(3,\)"),
        ({"conv.weight": np.ones(3)}, "conv.weight has 1 axes, not 4"),
        ({"a\nb": np.ones(3)}, r"'a\\nb' is unknown"),
    ],
)
def test_a_weight_that_does_not_fit_is_named(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=f"^the PyTorch weights do not fit this network: {message}$"):
        from_torch(weights() | change, TABLE, LIKE)


def test_a_variance_is_not_negative() -> None:
    table = batch_norm("norm", ("norm",))
    zeros = np.zeros(2, np.float32)
    like = {
        "params": {"norm": {"scale": zeros, "bias": zeros}},
        "batch_stats": {"norm": {"mean": zeros, "variance": zeros}},
    }
    given = dict.fromkeys(table, np.array([0, -1e-3], np.float32))
    with pytest.raises(UserError, match=r"network: norm.running_var has negative variances$"):
        from_torch(given, table, like)
    from_torch(given | {"norm.running_var": zeros}, table, like)


def test_three_problems_of_a_kind_are_put_together() -> None:
    def message(problems: list[Problem]) -> str:
        with pytest.raises(UserError) as error:
            report(problems, "no")
        return str(error.value)

    missing = [Problem(key, *MISSING) for key in "dbca"]
    assert message(missing[:2]) == "no: b is missing; d is missing"
    assert message([*missing, Problem("aa", *UNKNOWN)]) == "no: a, b and 2 more are missing; aa is unknown"
    shapes = [Problem(key, f"has shape ({n},)", "have another shape") for n, key in enumerate("abc")]
    assert message(shapes) == "no: a has shape (0,), and 2 more have another shape"
    report([], "no")


def test_lists_of_keys_are_short() -> None:
    lists = [list_keys(list("abcd"[:count])) for count in (1, 2, 3, 4)]
    assert lists == ["a", "a and b", "a, b and 1 more", "a, b and 2 more"]
