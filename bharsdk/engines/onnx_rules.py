"""Compute for each allowed operator the shape of its result and its multiply-adds.

A rule raises ValueError, IndexError, KeyError or TypeError where shapes contradict. The
documentation of ONNX (onnx.ai/onnx/operators) says what an operator does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from bharsdk.engines.onnx_graph import Node

__all__ = ["RULES", "Known", "Shape", "ints"]

Shape = tuple[int, ...]

SAME = frozenset(
    {
        *("Abs", "BatchNormalization", "Cast", "Ceil", "Clip", "DequantizeLinear", "Elu", "Erf"),
        *("Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization"),
        *("LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "Neg", "Not", "QuantizeLinear"),
        *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softmax", "Softplus", "Sqrt"),
        *("CumSum", "Tanh"),
    }
)
"""What they make has the shape of their first input."""
BROADCAST = frozenset(
    {
        *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max"),
        *("Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"),
    }
)
REDUCE = frozenset(f"Reduce{of}" for of in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum"))


class Known(Protocol):
    """What is known of a graph up to a node."""

    def shape(self, node: Node, index: int = 0) -> Shape:
        """Return the shape of an input."""
        ...

    def has(self, node: Node, index: int) -> bool:
        """Return whether an input is given."""
        ...

    def integers(self, node: Node, index: int) -> Shape:
        """Return an input that sets a size. Raises InputError unless it is a constant."""
        ...

    def argument(self, node: Node, name: str, index: int) -> Shape | None:
        """Return a list that is an attribute in old operator sets and an input in new ones."""
        ...

    def count(self, multiply_adds: float, scratch: int = 0) -> None:
        """Add work. scratch: values that exist only while the node runs."""
        ...


def _same(sizes: Known, node: Node) -> list[Shape]:
    return [sizes.shape(node)]


def _broadcasted(sizes: Known, node: Node) -> list[Shape]:
    return [_broadcast([sizes.shape(node, i) for i in range(len(node.inputs))])]


def _reduced(sizes: Known, node: Node) -> list[Shape]:
    x, axes = sizes.shape(node), sizes.argument(node, "axes", 1)
    if not axes:
        if node.attributes.get("noop_with_empty_axes", 0):
            return [x]
        axes = tuple(range(len(x)))
    gone = {_axis(axis, len(x)) for axis in axes}
    kept = bool(node.attributes.get("keepdims", 1))
    return [tuple(1 if i in gone else n for i, n in enumerate(x) if kept or i not in gone)]


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    rank = max(map(len, shapes))
    made = []
    for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        large = {n for n in sizes if n != 1}
        if len(large) > 1:
            raise ValueError(f"sizes {sizes}")
        made.append(large.pop() if large else 1)
    return tuple(made)


def ints(value: object) -> Shape:
    """Return ``value`` if it is a list of whole numbers; TypeError if not."""
    if not isinstance(value, tuple):
        raise TypeError("expected a list")
    return value


def _number(node: Node, name: str, default: int) -> int:
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise TypeError(f"expected {name} to be a number")
    return value


def _list(node: Node, name: str, default: Shape) -> Shape:
    return ints(node.attributes.get(name, default))


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of {rank}")
    return axis % rank


def _matmul(sizes: Known, node: Node) -> list[Shape]:
    a, b = sizes.shape(node), sizes.shape(node, 1)
    left, right = a if len(a) > 1 else (1, *a), b if len(b) > 1 else (*b, 1)
    if left[-1] != right[-2]:
        raise ValueError("inner sizes differ")
    batch = _broadcast([left[:-2], right[:-2]])
    made = (*batch, left[-2], right[-1])
    sizes.count(float(math.prod(made)) * left[-1])
    return [batch + made[-2:][: 1 if len(b) == 1 else 2][1 if len(a) == 1 else 0 :]]


def _gemm(sizes: Known, node: Node) -> list[Shape]:
    (m, k), (k_2, n) = (
        shape[::-1] if _number(node, name, 0) else shape
        for shape, name in ((sizes.shape(node), "transA"), (sizes.shape(node, 1), "transB"))
    )
    if k != k_2:
        raise ValueError("inner sizes differ")
    sizes.count(float(m * n * k))
    return [(m, n)]


def _windows(node: Node, x: Shape, kernel: Shape) -> Shape:
    """Of what a window that slides over x [N, C, ...] makes, without N and C."""
    axes = len(x) - 2
    if len(kernel) != axes or min(kernel, default=0) < 1:
        raise ValueError("a window of other axes")
    strides, dilations = (_list(node, n, (1,) * axes) for n in ("strides", "dilations"))
    pads = _list(node, "pads", (0,) * 2 * axes)
    if len(strides) != axes or len(dilations) != axes or len(pads) != 2 * axes:
        raise ValueError("strides, dilations or pads of other axes")
    if min(*strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError("strides, dilations or pads below the least")
    automatic = node.attributes.get("auto_pad", "NOTSET")
    made = []
    for i in range(axes):
        reach = dilations[i] * (kernel[i] - 1) + 1
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            made.append(-(-x[i + 2] // strides[i]))
            continue
        room = x[i + 2] - reach + (0 if automatic == "VALID" else pads[i] + pads[i + axes])
        up = strides[i] - 1 if _number(node, "ceil_mode", 0) else 0
        made.append((room + up) // strides[i] + 1)
    if min(made, default=0) < 0:
        raise ValueError("a window larger than what it slides over")
    return tuple(made)


def _conv(sizes: Known, node: Node) -> list[Shape]:
    x, weight = sizes.shape(node), sizes.shape(node, 1)
    if x[1] != weight[1] * _number(node, "group", 1):
        raise ValueError("channels differ")
    made = (x[0], weight[0], *_windows(node, x, weight[2:]))
    each = math.prod(weight[1:])
    # A convolution may copy what its window reads: im2col.
    copied = x[0] * x[1] * math.prod(made[2:]) * math.prod(weight[2:])
    sizes.count(float(math.prod(made)) * each, copied)
    return [made]


def _pool(sizes: Known, node: Node) -> list[Shape]:
    x, kernel = sizes.shape(node), _list(node, "kernel_shape", ())
    made = (*x[:2], *_windows(node, x, kernel))
    sizes.count(float(math.prod(made)) * math.prod(kernel))
    return [made]


def _global_pool(sizes: Known, node: Node) -> list[Shape]:
    x = sizes.shape(node)
    return [(*x[:2], *(1,) * (len(x) - 2))]


def _concat(sizes: Known, node: Node) -> list[Shape]:
    shapes = [sizes.shape(node, i) for i in range(len(node.inputs))]
    axis = _axis(_number(node, "axis", 0), len(shapes[0]))
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rest) != 1:
        raise ValueError("other axes differ")
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def _split(sizes: Known, node: Node) -> list[Shape]:
    x, parts = sizes.shape(node), sizes.argument(node, "split", 1)
    axis, count = _axis(_number(node, "axis", 0), len(x)), len(node.outputs)
    if parts is None:
        each = -(-x[axis] // count)
        parts = (*(each,) * (count - 1), x[axis] - each * (count - 1))
    if len(parts) != count or sum(parts) != x[axis] or min(parts) < 0:
        raise ValueError("parts that are not the whole")
    return [(*x[:axis], n, *x[axis + 1 :]) for n in parts]


def _slice(sizes: Known, node: Node) -> list[Shape]:
    x = sizes.shape(node)
    starts, ends = (sizes.argument(node, n, i) or () for n, i in (("starts", 1), ("ends", 2)))
    axes = sizes.argument(node, "axes", 3) or tuple(range(len(starts)))
    steps = sizes.integers(node, 4) if sizes.has(node, 4) else (1,) * len(starts)
    made = list(x)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        i = _axis(axis, len(x))
        made[i] = len(range(*slice(start, end, step).indices(x[i])))
    return [tuple(made)]


def _gather(sizes: Known, node: Node) -> list[Shape]:
    x, indices = sizes.shape(node), sizes.shape(node, 1)
    axis = _axis(_number(node, "axis", 0), len(x))
    return [x[:axis] + indices + x[axis + 1 :]]


def _transpose(sizes: Known, node: Node) -> list[Shape]:
    x = sizes.shape(node)
    order = _list(node, "perm", tuple(reversed(range(len(x)))))
    if sorted(order) != list(range(len(x))):
        raise ValueError("not an order of the axes")
    return [tuple(x[i] for i in order)]


def _reshape(sizes: Known, node: Node) -> list[Shape]:
    x, wanted = sizes.shape(node), list(sizes.integers(node, 1))
    if not _number(node, "allowzero", 0):
        wanted = [x[i] if n == 0 else n for i, n in enumerate(wanted)]
    known = math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = math.prod(x) // known if known else 0
    if math.prod(wanted) != math.prod(x) or min(wanted, default=1) < 0:
        raise ValueError("another number of values")
    return [tuple(wanted)]


def _expand(sizes: Known, node: Node) -> list[Shape]:
    return [_broadcast([sizes.shape(node), sizes.integers(node, 1)])]


def _squeeze(sizes: Known, node: Node) -> list[Shape]:
    x, axes = sizes.shape(node), sizes.argument(node, "axes", 1)
    if axes is None:
        axes = tuple(i for i, n in enumerate(x) if n == 1)
    gone = {_axis(axis, len(x)) for axis in axes}
    if any(x[i] != 1 for i in gone):
        raise ValueError("an axis that is not of one")
    return [tuple(n for i, n in enumerate(x) if i not in gone)]


def _unsqueeze(sizes: Known, node: Node) -> list[Shape]:
    x, axes = sizes.shape(node), sizes.argument(node, "axes", 1) or ()
    rank, rest = len(x) + len(axes), iter(x)
    new = {_axis(axis, rank) for axis in axes}
    if len(new) != len(axes):
        raise ValueError("an axis twice")
    return [tuple(1 if i in new else next(rest) for i in range(rank))]


def _flatten(sizes: Known, node: Node) -> list[Shape]:
    x = sizes.shape(node)
    axis = _number(node, "axis", 1)
    axis = axis if axis == len(x) else _axis(axis, len(x))
    return [(math.prod(x[:axis]), math.prod(x[axis:]))]


def _pad(sizes: Known, node: Node) -> list[Shape]:
    x, pads = sizes.shape(node), sizes.argument(node, "pads", 1) or ()
    axes = sizes.integers(node, 3) if sizes.has(node, 3) else tuple(range(len(x)))
    made, half = list(x), len(pads) // 2
    for axis, before, after in zip(axes, pads[:half], pads[half:], strict=True):
        made[_axis(axis, len(x))] += before + after
    return [tuple(made)]


RULES: dict[str, Callable[[Known, Node], list[Shape]]] = {
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(BROADCAST, _broadcasted),
    **dict.fromkeys(REDUCE, _reduced),
    "AveragePool": _pool,
    "Concat": _concat,
    "Conv": _conv,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
