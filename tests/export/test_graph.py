"""Sizes that are known only when the graph runs."""

import numpy as np
import pytest
from jax.export import symbolic_shape

onnxruntime = pytest.importorskip("onnxruntime")

from jaxcolor.export.graph import Graph


@pytest.mark.parametrize("length", [1, 2, 7, 32, 33])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("h", lambda h: h),
        ("2*h + 3", lambda h: 2 * h + 3),
        ("h*h - h", lambda h: h * h - h),
        ("floordiv(h - 9, 4)", lambda h: (h - 9) // 4),
        ("-32*floordiv(-h, 32)", lambda h: -(-h // 32) * 32),
        ("mod(-h, 5)", lambda h: -h % 5),
        ("max(h, 7) + min(4, h)", lambda h: max(h, 7) + min(4, h)),
    ],
)
def test_sizes(text: str, wanted: object, length: int) -> None:
    size, variable = symbolic_shape(f"{text}, h")
    graph = Graph()
    graph.input("x", (variable,), np.dtype(np.float32))
    model = graph.finish({"size": graph.size(size)}, {})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"x": np.zeros(length, np.float32)})
    assert found.tolist() == [wanted(length)]  # type: ignore[operator]


def test_a_multiple_of_a_size_is_an_input() -> None:
    rows, variable = symbolic_shape("32*h, h")
    graph = Graph()
    graph.input("x", (rows,), np.dtype(np.float32))
    session = onnxruntime.InferenceSession(
        graph.finish({"size": graph.size(variable)}, {}).SerializeToString()
    )
    assert session.run(None, {"x": np.zeros(96, np.float32)})[0].tolist() == [3]


def test_transposes_that_cancel_out_leave_no_node() -> None:
    graph = Graph()
    x = graph.input("x", (2, 3, 4), np.dtype(np.float32))
    assert graph.transpose(graph.transpose(x, (0, 2, 1)), (0, 2, 1)) == x
    assert graph.transpose(graph.transpose(x, (2, 0, 1)), (1, 2, 0)) == x
