"""JAX's primitives as ONNX nodes: one entry of `PRIMITIVES` for each.

An entry is a function of the graph, the operands and the equation, and returns the result. Operands of
`ELEMENTWISE` primitives may have 1 in place of a size along which their values repeat, because ONNX repeats
them itself. All others have their full shape.
"""

from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from jaxcolor.errors import UserError
from jaxcolor.export.graph import Graph, Shape, Value, element_type, integers

Equation = Any  # jax.extend.core.JaxprEqn
Translate = Callable[[Graph, Sequence[Value], Equation], Value]


def operation(kind: str, *constants: float, **attributes: Any) -> Translate:
    """Return the translation into one node, whose last inputs are `constants`."""

    def translate(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
        inputs = [*operands, *(np.asarray(number, operands[0].dtype) for number in constants)]
        shape = repeated_shape([value.shape for value in inputs])
        return graph.node(kind, inputs, shape, equation.outvars[0].aval.dtype, **attributes)

    return translate


def chain(*steps: Translate) -> Translate:
    """Return the translation into nodes one after the other, of which all but the first have one input."""

    def translate(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
        for step in steps:
            operands = [step(graph, operands, equation)]
        return operands[0]

    return translate


def repeated_shape(shapes: Sequence[Shape]) -> Shape:
    """Return the shape of an elementwise result: each axis has the size that is not 1, if there is one."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


def select(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    condition, otherwise, chosen = operands
    return operation("Where")(graph, [condition, chosen, otherwise], equation)


def clamp(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    low, value, high = operands
    return operation("Min")(graph, [operation("Max")(graph, [value, low], equation), high], equation)


def integer_power(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    return operation("Pow", equation.params["y"])(graph, operands, equation)


def round_to_integer(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    if int(equation.params["rounding_method"]) != 1:  # to the nearest, and to an even number from the middle
        raise not_exported(equation)
    return operation("Round")(graph, operands, equation)


def cube_root(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    size = chain(operation("Abs"), operation("Pow", 1 / 3))(graph, operands, equation)
    return operation("Mul")(graph, [operation("Sign")(graph, operands, equation), size], equation)


def convert(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    (value,), dtype = operands, equation.params["new_dtype"]
    if element_type(value.dtype) == element_type(dtype):
        return value
    return graph.node("Cast", [value], value.shape, dtype, to=element_type(dtype))


def not_equal(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    return chain(operation("Equal"), operation("Not"))(graph, operands, equation)


def broadcast(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Add axes of size 1. The values are not repeated before an operand needs its full shape."""
    (value,), axes = operands, equation.params["broadcast_dimensions"]
    rank = len(equation.params["shape"])
    shape = tuple(value.shape[axes.index(axis)] if axis in axes else 1 for axis in range(rank))
    if isinstance(value, np.ndarray):
        return value.reshape(shape)
    added = [axis for axis in range(rank) if axis not in axes]
    return graph.node("Unsqueeze", [value, integers(*added)], shape, value.dtype) if added else value


def iota(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Count along an axis; the other axes have a size of 1."""
    shape, axis, dtype = (equation.params[name] for name in ("shape", "dimension", "dtype"))
    around = [other for other in range(len(shape)) if other != axis]
    limit = graph.node("Squeeze", [graph.size(shape[axis]), integers(0)], (), np.int64)
    first, step = np.asarray(0, np.int64), np.asarray(1, np.int64)
    count = graph.node("Range", [first, limit, step], (shape[axis],), np.int64)
    numbers = graph.node("Cast", [count], count.shape, dtype, to=element_type(dtype))
    if not around:
        return numbers
    wide = tuple(shape[axis] if other == axis else 1 for other in range(len(shape)))
    return graph.node("Unsqueeze", [numbers, integers(*around)], wide, dtype)


def dimension_as_value(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    scalar = graph.node("Squeeze", [graph.size(equation.params["dim"]), integers(0)], (), np.int64)
    dtype = equation.outvars[0].aval.dtype
    return graph.node("Cast", [scalar], (), dtype, to=element_type(dtype))


def reshape(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    shape = equation.outvars[0].aval.shape
    return graph.node("Reshape", [operands[0], graph.shape(shape)], shape, operands[0].dtype)


def transpose(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    return graph.transpose(operands[0], equation.params["permutation"])


def concatenate(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    aval = equation.outvars[0].aval
    return graph.node("Concat", operands, aval.shape, aval.dtype, axis=equation.params["dimension"])


def reduce(kind: str) -> Translate:
    def translate(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
        aval, axes = equation.outvars[0].aval, integers(*equation.params["axes"])
        return graph.node(kind, [operands[0], axes], aval.shape, aval.dtype, keepdims=0)

    return translate


def argmax(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    aval, (axis,) = equation.outvars[0].aval, equation.params["axes"]
    place = graph.node("ArgMax", operands, aval.shape, np.int64, axis=axis, keepdims=0)
    return graph.node("Cast", [place], aval.shape, aval.dtype, to=element_type(aval.dtype))


def cut(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Return a part of the operand, or every n-th value of it."""
    params, aval = equation.params, equation.outvars[0].aval
    starts, limits = graph.shape(params["start_indices"]), graph.shape(params["limit_indices"])
    axes = range(len(aval.shape))
    steps = integers(*(params["strides"] or [1 for _ in axes]))
    return graph.node("Slice", [operands[0], starts, limits, integers(*axes), steps], aval.shape, aval.dtype)


def pad(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    value, filling = operands
    before, after, between = zip(*equation.params["padding_config"], strict=True)
    if any(between):
        raise not_exported(equation)
    pads = graph.shape((*before, *after))
    return graph.node("Pad", [value, pads, filling], equation.outvars[0].aval.shape, value.dtype)


def gather(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Return slices of an array: one, or one per index along an axis."""
    value, indices = operands
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    removed, starts_of, rank = numbers.collapsed_slice_dims, numbers.start_index_map, len(value.shape)
    aval = equation.outvars[0].aval
    if len(indices.shape) == 1 and not numbers.operand_batching_dims:
        starts: list[Value] = [
            graph.node("Slice", [indices, integers(i), integers(i + 1)], (1,), indices.dtype)
            for i in range(len(starts_of))
        ]
        starts = [graph.node("Cast", [start], (1,), np.int64, to=element_type(np.int64)) for start in starts]
        stops = [
            graph.node("Add", [start, graph.size(sizes[axis])], (1,), np.int64)
            for start, axis in zip(starts, starts_of, strict=True)
        ]
        ends: list[Value] = [graph.node("Concat", of, (len(of),), np.int64, axis=0) for of in (starts, stops)]
        part = graph.node("Slice", [value, *ends, integers(*starts_of)], sizes, value.dtype)
        return graph.node("Squeeze", [part, integers(*removed)], aval.shape, value.dtype) if removed else part
    axis, places = starts_of[0], len(indices.shape) - 1
    around = [*range(axis), *range(axis + places, rank - 1 + places)]
    whole = all(sizes[other] == value.shape[other] for other in range(rank) if other != axis)
    if starts_of != (axis,) or removed != (axis,) or list(numbers.offset_dims) != around or not whole:
        raise not_exported(equation)
    chosen = graph.node("Squeeze", [indices, integers(places)], indices.shape[:-1], indices.dtype)
    if chosen.dtype not in (np.int32, np.int64):
        chosen = graph.node("Cast", [chosen], chosen.shape, np.int64, to=element_type(np.int64))
    return graph.node("Gather", [value, chosen], aval.shape, value.dtype, axis=axis)


def product(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Return a sum of products over the contracted axes."""
    (left_sums, right_sums), (left_batch, right_batch) = equation.params["dimension_numbers"]
    left, right = operands
    letters = iter(ascii_letters)
    of_left = [next(letters) for _ in left.shape]
    of_right = [next(letters) for _ in right.shape]
    for theirs, ours in ((left_sums, right_sums), (left_batch, right_batch)):
        for i, j in zip(theirs, ours, strict=True):
            of_right[j] = of_left[i]
    batch = [of_left[i] for i in left_batch]
    kept = [of_left[i] for i in range(len(of_left)) if i not in (*left_batch, *left_sums)]
    kept += [of_right[j] for j in range(len(of_right)) if j not in (*right_batch, *right_sums)]
    text = f"{''.join(of_left)},{''.join(of_right)}->{''.join(batch + kept)}"
    aval = equation.outvars[0].aval
    return graph.node("Einsum", [left, right], aval.shape, aval.dtype, equation=text)


def convolution(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Return a convolution, or a transposed one if there are zeros between the pixels of the image."""
    image, kernel = operands
    params, aval = equation.params, equation.outvars[0].aval
    numbers = params["dimension_numbers"]
    image = graph.transpose(image, numbers.lhs_spec)
    kernel = graph.transpose(kernel, numbers.rhs_spec)  # OIHW
    before, after = zip(*params["padding"], strict=True)
    spread = params["lhs_dilation"]
    shape = tuple(aval.shape[axis] for axis in numbers.out_spec)
    if params["batch_group_count"] != 1:
        raise not_exported(equation)
    if set(spread) == {1}:
        result = graph.node(
            "Conv", [image, kernel], shape, aval.dtype, pads=[*before, *after],
            strides=params["window_strides"], dilations=params["rhs_dilation"],
            group=params["feature_group_count"],
        )  # fmt: skip
    else:
        steps = {*params["window_strides"], *params["rhs_dilation"], params["feature_group_count"]}
        if steps != {1} or not isinstance(kernel, np.ndarray):
            raise not_exported(equation)
        # ONNX counts the padding from the other side, and takes the taps in reverse order.
        reach = [length - 1 for length in kernel.shape[2:]]
        cut = [r - b for r, b in zip(reach, before, strict=True)]
        cut += [max(r - a, 0) for r, a in zip(reach, after, strict=True)]
        added = [max(a - r, 0) for r, a in zip(reach, after, strict=True)]
        flipped = np.ascontiguousarray(kernel[:, :, ::-1, ::-1].swapaxes(0, 1))
        result = graph.node(
            "ConvTranspose", [image, flipped], shape, aval.dtype, pads=cut, strides=spread,
            output_padding=added,
        )  # fmt: skip
    return graph.transpose(result, np.argsort(numbers.out_spec).tolist())


def max_pool(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Return the maxima of windows of images [batch, height, width, channel]."""
    params, aval = equation.params, equation.outvars[0].aval
    window, steps, padding = (params[name] for name in ("window_dimensions", "window_strides", "padding"))
    dilations = {*params["base_dilation"], *params["window_dilation"]}
    ends = (0, len(window) - 1)
    is_image = all(window[axis] == steps[axis] == 1 and padding[axis] == (0, 0) for axis in ends)
    if dilations != {1} or not is_image:
        raise not_exported(equation)
    to_channels_first = (0, len(window) - 1, *range(1, len(window) - 1))
    before, after = zip(*padding[1:-1], strict=True)
    shape = tuple(aval.shape[axis] for axis in to_channels_first)
    result = graph.node(
        "MaxPool", [graph.transpose(operands[0], to_channels_first)], shape, aval.dtype,
        kernel_shape=window[1:-1], strides=steps[1:-1], pads=[*before, *after],
    )  # fmt: skip
    return graph.transpose(result, np.argsort(to_channels_first).tolist())


def resize(graph: Graph, operands: Sequence[Value], equation: Equation) -> Value:
    """Return `jaxcolor.layers.resize_bilinear`."""
    batch, height, width, channels = equation.outvars[0].aval.shape
    image = graph.transpose(operands[0], (0, 3, 1, 2))
    sizes = graph.shape((batch, channels, height, width))
    result = graph.node(
        "Resize", [image, None, None, sizes], (batch, channels, height, width), np.float32, mode="linear",
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    return graph.transpose(result, (0, 2, 3, 1))


def not_exported(equation: Equation) -> UserError:
    """Return the error for an equation that has no translation."""
    return UserError(
        f"the network computes {equation.primitive.name} in a way that --to onnx does not know; "
        "--to stablehlo exports every network"
    )


ELEMENTWISE: dict[str, Translate] = {
    "add": operation("Add"),
    "add_any": operation("Add"),
    "sub": operation("Sub"),
    "mul": operation("Mul"),
    "div": operation("Div"),
    "max": operation("Max"),
    "min": operation("Min"),
    "pow": operation("Pow"),
    "square": operation("Pow", 2),
    "integer_pow": integer_power,
    "neg": operation("Neg"),
    "abs": operation("Abs"),
    "sign": operation("Sign"),
    "exp": operation("Exp"),
    "log": operation("Log"),
    "sqrt": operation("Sqrt"),
    "rsqrt": chain(operation("Sqrt"), operation("Reciprocal")),
    "cbrt": cube_root,
    "logistic": operation("Sigmoid"),
    "tanh": operation("Tanh"),
    "erf": operation("Erf"),
    "floor": operation("Floor"),
    "ceil": operation("Ceil"),
    "round": round_to_integer,
    "clamp": clamp,
    "select_n": select,
    "eq": operation("Equal"),
    "ne": not_equal,
    "lt": operation("Less"),
    "le": operation("LessOrEqual"),
    "gt": operation("Greater"),
    "ge": operation("GreaterOrEqual"),
    "and": operation("And"),
    "or": operation("Or"),
    "not": operation("Not"),
    "stop_gradient": operation("Identity"),
    "copy": operation("Identity"),
    "convert_element_type": convert,
    "broadcast_in_dim": broadcast,
}
OTHERS: dict[str, Translate] = {
    "iota": iota,
    "dim_as_value": dimension_as_value,
    "reshape": reshape,
    "squeeze": reshape,
    "expand_dims": reshape,
    "transpose": transpose,
    "concatenate": concatenate,
    "reduce_sum": reduce("ReduceSum"),
    "reduce_max": reduce("ReduceMax"),
    "reduce_min": reduce("ReduceMin"),
    "reduce_prod": reduce("ReduceProd"),
    "argmax": argmax,
    "slice": cut,
    "pad": pad,
    "gather": gather,
    "dot_general": product,
    "conv_general_dilated": convolution,
    "reduce_window_max": max_pool,
}
PRIMITIVES = ELEMENTWISE | OTHERS
# Functions of jaxcolor that are one node, although they have several equations.
FUNCTIONS: dict[str, Translate] = {"_resize_portably": resize}
