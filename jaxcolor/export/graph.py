"""An ONNX graph that is built node by node, with sizes that are known only when it runs.

Constants are NumPy arrays until a node needs them. Sizes are integers or `jax.export`'s symbolic dimensions,
such as `2*height`, for which the graph computes the number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
from jax import dtypes
from jax.export import is_symbolic_dim
from onnx import helper, numpy_helper

Size = Any  # an integer or a symbolic dimension
Shape = tuple[Size, ...]
OPSET = 18
IR_VERSION = 10


class Tensor(NamedTuple):
    """An array that the graph computes."""

    name: str
    shape: Shape
    dtype: np.dtype


Value = Tensor | np.ndarray


class Graph:
    """The nodes and constants of an ONNX graph, in the order of their computation."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names: dict[Any, str] = {}  # of the constants; equal ones are stored once
        self._inputs: list[onnx.ValueInfoProto] = []
        self._sizes: dict[str, Value] = {}  # symbolic dimension, as text → its number, int64 [1]
        self._computed: dict[tuple[str, ...], Value] = {}  # a node's kind and inputs → its result
        self._transposed: dict[str, tuple[Tensor, tuple[int, ...]]] = {}  # result → source and permutation

    def input(self, name: str, shape: Shape, dtype: np.dtype) -> Tensor:
        """Add an input. Its symbolic dimensions, or multiples of them such as `32*height`, become known."""
        self._inputs.append(describe(name, shape, dtype))
        tensor = Tensor(name, shape, dtype)
        for axis, size in enumerate(shape):
            if is_symbolic_dim(size):
                factor, _, variable = str(size).rpartition("*")
                number: Value = self.node("Shape", [tensor], (1,), np.int64, start=axis, end=axis + 1)
                if factor:
                    number = self.node("Div", [number, integers(int(factor))], (1,), np.int64)
                self._sizes.setdefault(variable, number)
        return tensor

    def node(
        self, kind: str, inputs: Sequence[Value | None], shape: Shape, dtype: Any, **attributes: Any
    ) -> Tensor:
        """Add a node with one output. None stands for an input that is left out."""
        output = Tensor(f"{kind.lower()}_{len(self._nodes)}", shape, np.dtype(dtype))
        names = ["" if value is None else self.name_of(value) for value in inputs]
        self._nodes.append(helper.make_node(kind, names, [output.name], **attributes))
        return output

    def name_of(self, value: Value) -> str:
        """Return the name of a value. A constant is added to the graph."""
        if isinstance(value, Tensor):
            return value.name
        stored = np.ascontiguousarray(value, stored_dtype(value.dtype)).reshape(value.shape)
        key = (stored.dtype, stored.shape, stored.tobytes())
        if key not in self._names:
            self._names[key] = f"constant_{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(stored, self._names[key]))
        return self._names[key]

    def size(self, size: Size) -> Value:
        """Return a size as an int64 array [1]."""
        if not is_symbolic_dim(size):
            return integers(int(size))
        text = str(size)
        if text not in self._sizes:
            # The text is an expression of names and integers: jax.export.symbolic_shape reads it, too.
            expression = compile(text.replace("^", "**"), text, "eval")
            known = {name: Number(self, value) for name, value in self._sizes.items() if name.isidentifier()}
            self._sizes[text] = eval(expression, {"__builtins__": {}}, FUNCTIONS | known).value
        return self._sizes[text]

    def compute_size(self, kind: str, operands: Sequence[Value]) -> Value:
        """Return the result of arithmetic with sizes. Each is computed once: nested sizes repeat much."""
        key = (kind, *map(self.name_of, operands))
        if key not in self._computed:
            self._computed[key] = self.node(kind, operands, (1,), np.int64)
        return self._computed[key]

    def shape(self, shape: Shape) -> Value:
        """Return a shape as an int64 array."""
        if not any(map(is_symbolic_dim, shape)):
            return integers(*shape)
        return self.node("Concat", [self.size(size) for size in shape], (len(shape),), np.int64, axis=0)

    def transpose(self, value: Value, permutation: Sequence[int]) -> Value:
        """Return a value with its axes permuted. Two permutations that cancel out leave no node."""
        permutation = tuple(permutation)
        if isinstance(value, np.ndarray):
            return np.ascontiguousarray(value.transpose(permutation))
        if permutation == tuple(range(len(permutation))):
            return value
        source, before = self._transposed.get(value.name, (None, ()))
        if source is not None and tuple(before[axis] for axis in permutation) == tuple(range(len(before))):
            return source
        shape = tuple(value.shape[axis] for axis in permutation)
        result = self.node("Transpose", [value], shape, value.dtype, perm=permutation)
        self._transposed[result.name] = value, permutation
        return result

    def finish(self, outputs: Mapping[str, Value], facts: Mapping[str, str]) -> onnx.ModelProto:
        """Return the model with named outputs, and with `facts` as its metadata."""
        described = []
        for name, value in outputs.items():
            self._nodes.append(helper.make_node("Identity", [self.name_of(value)], [name]))
            described.append(describe(name, value.shape, value.dtype))
        graph = helper.make_graph(self._nodes, "jaxcolor", self._inputs, described, self._constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="jaxcolor",
        )
        helper.set_model_props(model, dict(facts))
        onnx.checker.check_model(model)
        return model


@dataclass(frozen=True)
class Number:
    """A size in an expression of symbolic dimensions, which Python evaluates into nodes."""

    graph: Graph
    value: Value

    def __add__(self, other: Any) -> "Number":
        return self._apply("Add", self, other)

    def __mul__(self, other: Any) -> "Number":
        return self._apply("Mul", self, other)

    def __sub__(self, other: Any) -> "Number":
        return self._apply("Sub", self, other)

    def __rsub__(self, other: Any) -> "Number":
        return self._apply("Sub", other, self)

    def __neg__(self) -> "Number":
        return self._apply("Neg", self)

    def __pow__(self, other: int) -> "Number":
        return self if other == 1 else self * self ** (other - 1)

    __radd__, __rmul__ = __add__, __mul__

    def floordiv(self, other: Any) -> "Number":
        """Return the quotient, rounded down. ONNX rounds towards 0."""
        return self._apply("Div", self - self.mod(other), other)

    def mod(self, other: Any) -> "Number":
        """Return the remainder, which has the sign of the divisor."""
        return self._apply("Mod", self, other)

    def _apply(self, kind: str, *operands: Any) -> "Number":
        values = [operand.value if isinstance(operand, Number) else integers(operand) for operand in operands]
        return Number(self.graph, self.graph.compute_size(kind, values))


# What occurs in the text of a symbolic dimension, besides arithmetic.
FUNCTIONS: dict[str, Any] = {
    "floordiv": lambda a, b: a.floordiv(b),
    "mod": lambda a, b: a.mod(b),
    "max": lambda a, b: a._apply("Max", a, b) if isinstance(a, Number) else b._apply("Max", a, b),
    "min": lambda a, b: a._apply("Min", a, b) if isinstance(a, Number) else b._apply("Min", a, b),
}


def integers(*numbers: int) -> np.ndarray:
    """Return integers as ONNX takes sizes and axes."""
    return np.array(numbers, np.int64)


def stored_dtype(dtype: Any) -> np.dtype:
    """Return the number format in an ONNX file: float32 for bfloat16, which runtimes for CPUs lack."""
    return np.dtype(np.float32) if dtype == dtypes.bfloat16 else np.dtype(dtype)


def element_type(dtype: Any) -> int:
    """Return ONNX's name for a number format."""
    return helper.np_dtype_to_tensor_dtype(stored_dtype(dtype))


def describe(name: str, shape: Shape, dtype: Any) -> onnx.ValueInfoProto:
    """Return the entry of an input or output."""
    sizes = [str(size) if is_symbolic_dim(size) else int(size) for size in shape]
    return helper.make_tensor_value_info(name, element_type(dtype), sizes)
