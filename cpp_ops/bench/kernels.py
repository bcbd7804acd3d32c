"""Rows of single kernels, at the shapes that they have in the models."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from measure import Arithmetic, Compute, Kernel, Row
from onnx import TensorProto, helper

from bharsdk.kernels import ops

__all__ = ["kernel_rows"]

Array = npt.NDArray[np.float32]
SLOPE = 0.1
PARTITIONS, GROUPS = 3, 4
TANH = 11
"""A difference, its square, four steps of each of two polynomials, and the numerator."""


def kernel_rows() -> Iterator[Row]:
    """Every kernel, the blocks of the models from the first to the last."""
    torch.set_num_threads(1)
    blocks = ((64, 64, 25), (128, 32, 25), (256, 16, 25), (256, 6, 21))  # channels, frames, joints
    for channels, frames, joints in blocks:
        yield _graph_aggregate(channels, frames, joints, static=True)
    for channels, frames, joints in blocks:
        yield _graph_aggregate(channels, frames, joints, static=False)
    for static in (True, False):
        for channels, frames, joints in blocks:
            yield _integer_graph_aggregate(channels, frames, joints, static=static)
    for channels, frames, joints in blocks:
        yield _refined_aggregate(channels, frames, joints)
    for channels, _, joints in blocks:
        yield _pairwise_tanh(channels, joints)
    for channels, frames, joints in blocks:
        yield _temporal_conv(channels // 4, channels // 4, frames, joints, dilation=2)
    for channels, frames, joints in blocks:
        yield _temporal_conv(channels, channels, frames, joints, dilation=0)


def _random(*shape: int, seed: int = 0) -> Array:
    values: Array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return values


def _kernel(
    into: Callable[..., Array],
    *inputs: Array,
    divisions: int = 0,
    arithmetic: Arithmetic = Arithmetic.FMA,
) -> Kernel:
    """``into(out=...)``, which reads the inputs, into memory that is there."""
    out = into(out=None)
    moved = sum(array.nbytes for array in (*inputs, out))
    return Kernel(lambda: into(out=out), moved, divisions, arithmetic)


def _of_torch(call: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> Compute:
    def compute() -> Array:
        with torch.inference_mode():
            result: Array = call(*inputs).numpy()
        return result

    return compute


def _onnxruntime(
    nodes: list[onnx.NodeProto], inputs: Mapping[str, npt.NDArray[np.generic]]
) -> Compute:
    """The graph of ``nodes``, whose result is ``out``, in ONNX Runtime on one thread."""
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in inputs.items()
    ]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "row", values, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def compute() -> Array:
        result: Array = session.run(["out"], inputs)[0]
        return result

    return compute


def _graph_aggregate(channels: int, frames: int, joints: int, *, static: bool) -> Row:
    x = _random(1, PARTITIONS, channels, frames, joints)
    shape = (PARTITIONS, joints, joints) if static else (1, PARTITIONS, channels, joints, joints)
    a = _random(*shape, seed=1)
    ours = functools.partial(ops.graph_aggregate, x, a)
    rule = "nkctv,kvw->nctw" if static else "nkctv,nkcvw->nctw"
    spread = a[None, :, None] if static else a
    axis = np.array([1], np.int64)
    summed = [
        helper.make_node("MatMul", ["x", "a"], ["products"]),
        helper.make_node("Constant", [], ["axis"], value=onnx.numpy_helper.from_array(axis)),
        helper.make_node("ReduceSum", ["products", "axis"], ["out"], keepdims=0),
    ]
    peers: dict[str, Compute] = {
        "numpy.matmul": lambda: np.matmul(x, spread).sum(axis=1),
        "torch.einsum": _of_torch(
            lambda *both: torch.einsum(rule, *both), torch.from_numpy(x), torch.from_numpy(a)
        ),
        "ONNX Runtime": _onnxruntime(summed, {"x": x, "a": np.ascontiguousarray(spread)}),
    }
    if static:
        flat = a.reshape(-1, joints)
        # One large product, the rearrangement of x included: the best that BLAS can do.
        peers["numpy, one product"] = lambda: (
            x.transpose(0, 2, 3, 1, 4).reshape(-1, PARTITIONS * joints) @ flat
        ).reshape(1, channels, frames, joints)
    return Row(
        "graph-aggregate" if static else "graph-aggregate-channels",
        f"{'static' if static else 'channel-wise'} A, {channels} channels x {frames} x {joints}",
        PARTITIONS * channels * frames * joints**2,
        ours,
        peers,
        # Adjacencies of channels are laid out once for each: too few rows for tiles.
        kernel=_kernel(ours, x, a, arithmetic=Arithmetic.TILES if static else Arithmetic.FMA),
    )


def _integer_graph_aggregate(channels: int, frames: int, joints: int, *, static: bool) -> Row:
    """Whose peers too get what they read best: in floats, numpy has it in floats already."""
    random, zero, step = np.random.default_rng(0), 100, 0.02
    x = random.integers(0, 256, (1, PARTITIONS, channels, frames, joints), np.uint8)
    shape = (PARTITIONS, joints, joints) if static else (1, PARTITIONS, channels, joints, joints)
    a = random.integers(-63, 64, shape, np.int8)
    scale = random.random(joints, np.float32)
    spread = np.ascontiguousarray(a[None, :, None] if static else a)
    floats = (x.astype(np.float32) - zero) * np.float32(step), spread * scale
    ours = functools.partial(ops.integer_graph_aggregate, x, a, scale, step=step, zero=zero)
    given: dict[str, npt.NDArray[np.generic]] = {
        "x": x,
        "a": spread,
        "zero": np.array(zero, np.uint8),
        "scale": np.asarray(scale * step, np.float32),
    }
    summed = [
        helper.make_node("MatMulInteger", ["x", "a", "zero"], ["products"]),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("ReduceSum", ["products", "axis"], ["sums"], keepdims=0),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["out"]),
    ]
    peers: dict[str, Compute] = {
        "ONNX Runtime": _onnxruntime(summed, given),
        "numpy.matmul, float32": lambda: np.matmul(*floats).sum(axis=1),
    }
    if static:
        sums = [channels * frames, PARTITIONS * joints], [1, channels, frames, joints]
        joined = [
            helper.make_node("Transpose", ["x"], ["rows"], perm=[0, 2, 3, 1, 4]),
            *(helper.make_node("Constant", [], [f"shape{i}"], value_ints=sums[i]) for i in (0, 1)),
            helper.make_node("Reshape", ["rows", "shape0"], ["flat"]),
            helper.make_node("MatMulInteger", ["flat", "a", "zero"], ["sums"]),
            helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
            helper.make_node("Reshape", ["scaled", "shape1"], ["out"]),
        ]
        flat = a.reshape(-1, joints)
        peers["ONNX Runtime, one product"] = _onnxruntime(joined, {**given, "a": flat})
    moved = x.nbytes + a.nbytes + 4 * channels * frames * joints
    return Row(
        "graph-aggregate-int8",
        f"{'static' if static else 'channel-wise'} A, {channels} channels x {frames} x {joints}",
        PARTITIONS * channels * frames * joints**2,
        ours,
        peers,
        kernel=Kernel(ours, moved, arithmetic=Arithmetic.BYTES),
    )


def _refined_aggregate(channels: int, frames: int, joints: int) -> Row:
    relations = channels // 8 // GROUPS
    value = _random(1, PARTITIONS, frames, joints, channels)
    relation = _random(1, PARTITIONS, GROUPS, joints, joints, relations, seed=1)
    weight, shift = _random(PARTITIONS, relations, channels, seed=2), _random(3, channels, seed=3)
    a = _random(PARTITIONS, joints, joints, seed=4)
    # In the layouts that torch is fastest in: joints innermost, and adjacencies by one product.
    values = torch.from_numpy(value.transpose(0, 1, 4, 2, 3).copy())
    edges = relation.transpose(0, 1, 2, 5, 4, 3).reshape(1, PARTITIONS, GROUPS, relations, -1)
    grouped = weight.reshape(PARTITIONS, relations, GROUPS, -1).transpose(0, 2, 3, 1)
    rest = a.transpose(0, 2, 1)[:, None] + shift[..., None, None]

    def refine(x: torch.Tensor, w: torch.Tensor, r: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        adjacency = torch.matmul(w, r).view(1, PARTITIONS, channels, joints, joints) + b
        return torch.matmul(x, adjacency).sum(1).permute(0, 2, 3, 1)

    packed = (np.ascontiguousarray(part) for part in (grouped, edges, rest))
    inputs = value, relation, weight, shift, a
    ours = functools.partial(ops.refined_aggregate, *inputs)
    return Row(
        "refined-aggregate",
        f"{channels} channels x {frames} x {joints}, {relations} relations",
        PARTITIONS * channels * joints**2 * (frames + relations),
        ours,
        {"torch": _of_torch(refine, values, *map(torch.from_numpy, packed))},
        kernel=_kernel(ours, *inputs),
    )


def _pairwise_tanh(channels: int, joints: int) -> Row:
    to = _random(1, joints, PARTITIONS * GROUPS, channels // 8 // GROUPS)
    from_ = _random(*to.shape, seed=1)
    ours = functools.partial(ops.pairwise_tanh, to, from_)

    def relations(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x.transpose(1, 2)[:, :, :, None] - y.transpose(1, 2)[:, :, None])

    return Row(
        "pairwise-tanh",
        f"{joints} x {joints} joints, {to.shape[2]} maps of {to.shape[3]}",
        TANH * joints * to.size,
        ours,
        {"torch": _of_torch(relations, torch.from_numpy(to), torch.from_numpy(from_))},
        tolerance=1e-6,
        kernel=_kernel(ours, to, from_, divisions=joints * to.size),
    )


def _temporal_conv(inputs: int, outputs: int, frames: int, joints: int, *, dilation: int) -> Row:
    """DeTGC folded, or with a dilation of 0 a 1x1 convolution."""
    reach = 2 * dilation
    offsets = tuple(range(-reach, reach + 1))
    x, bias = _random(1, frames, joints, inputs), _random(outputs, seed=2)
    weight = _random(len(offsets), inputs, outputs, seed=1)
    ours = functools.partial(ops.temporal_conv, x, weight, bias, offsets, slope=SLOPE)
    last = torch.from_numpy(x).permute(0, 3, 1, 2)  # channels last in memory, as ours
    kernel = torch.from_numpy(weight.transpose(2, 1, 0)[..., None].copy())

    def convolve(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if reach:
            x = torch.nn.functional.pad(x, (0, 0, reach, reach), mode="replicate")
        y = torch.nn.functional.leaky_relu(torch.conv2d(x, w, b), SLOPE)
        return y.permute(0, 2, 3, 1)

    return Row(
        "temporal-conv",
        f"{inputs} to {outputs} channels x {frames} x {joints}, {len(offsets)} taps",
        len(offsets) * inputs * outputs * frames * joints,
        ours,
        {"torch": _of_torch(convolve, last, kernel, torch.from_numpy(bias))},
        kernel=_kernel(ours, x, weight, bias),
    )
