"""A traced JAX program as an ONNX model.

The equations of the program are translated one by one. What depends on constants alone, such as a kernel
times the scale of a BatchNorm, is computed now.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from jax.export import is_symbolic_dim
from jax.extend.core import ClosedJaxpr, Literal

from jaxcolor.export.graph import Graph, Value, stored_dtype
from jaxcolor.export.primitives import ELEMENTWISE, FUNCTIONS, PRIMITIVES, Equation, not_exported

NOT_FOLDED = ("broadcast_in_dim", "iota")  # their results are larger than their operands
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # names of the program of a function that is called


def to_onnx(
    program: ClosedJaxpr, inputs: Sequence[str], outputs: Sequence[str], facts: Mapping[str, str]
) -> onnx.ModelProto:
    """Return an ONNX model with these names of inputs and outputs, and with `facts` as its metadata.

    Raises `UserError` if the program has an operation that cannot be translated.
    """
    graph = Graph()
    arguments = [
        graph.input(name, aval.shape, aval.dtype) for name, aval in zip(inputs, program.in_avals, strict=True)
    ]
    results = translate(graph, program, arguments)
    full = [repeat(graph, value, aval.shape) for value, aval in zip(results, program.out_avals, strict=True)]
    return graph.finish(dict(zip(outputs, full, strict=True)), facts)


def translate(graph: Graph, program: ClosedJaxpr, arguments: Sequence[Value]) -> list[Value]:
    """Add the nodes of a program to the graph, and return its results."""
    jaxpr: Any = program.jaxpr
    values: dict[Any, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
    values |= {
        variable: np.asarray(array) for variable, array in zip(jaxpr.constvars, program.consts, strict=True)
    }

    def read(atom: Any) -> Value:
        is_constant = isinstance(atom, Literal)
        return np.asarray(atom.val, stored_dtype(atom.aval.dtype)) if is_constant else values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        values.update(zip(equation.outvars, apply(graph, equation, operands), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def apply(graph: Graph, equation: Equation, operands: Sequence[Value]) -> Sequence[Value]:
    """Return the results of an equation."""
    name = equation.primitive.name
    if name == "convert_element_type" and stored_dtype(equation.params["new_dtype"]) == operands[0].dtype:
        return operands  # so weights are not rounded to bfloat16
    if can_fold(equation, operands):
        full = [
            repeat(graph, value, atom.aval.shape)
            for value, atom in zip(operands, equation.invars, strict=True)
        ]
        results = equation.primitive.bind(*full, **equation.params)
        return [*map(np.asarray, results if equation.primitive.multiple_results else [results])]
    if equation.params.get("name") in FUNCTIONS:
        return [FUNCTIONS[equation.params["name"]](graph, operands, equation)]
    if inner := next((equation.params[key] for key in INNER if key in equation.params), None):
        return translate(graph, inner, operands)
    if name not in PRIMITIVES:
        raise not_exported(equation)
    if name not in ELEMENTWISE:
        operands = [
            repeat(graph, value, atom.aval.shape)
            for value, atom in zip(operands, equation.invars, strict=True)
        ]
    return [PRIMITIVES[name](graph, operands, equation)]


def can_fold(equation: Equation, operands: Sequence[Value]) -> bool:
    """Return whether an equation has constant operands and no symbolic dimension."""
    sizes = [size for variable in (*equation.invars, *equation.outvars) for size in variable.aval.shape]
    is_constant = all(isinstance(value, np.ndarray) for value in operands)
    return (
        bool(operands)
        and is_constant
        and equation.primitive.name not in NOT_FOLDED
        and not any(map(is_symbolic_dim, sizes))
    )


def repeat(graph: Graph, value: Value, shape: Sequence[Any]) -> Value:
    """Return a value with its full shape."""
    if tuple(value.shape) == tuple(shape):
        return value
    if isinstance(value, np.ndarray) and not any(map(is_symbolic_dim, shape)):
        return np.broadcast_to(value, tuple(shape))
    return graph.node("Expand", [value, graph.shape(tuple(shape))], tuple(shape), value.dtype)
