"""Promises of our own look at ONNX graphs: what is hostile never reaches ONNX Runtime."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk.bundle.bundle import load_bundle
from bharsdk.bundle.shipped import shipped_bundles
from bharsdk.engines.onnx_graph import read_graph
from bharsdk.engines.onnx_session import check_onnx
from bharsdk.engines.onnx_sizes import _Sizes
from bharsdk.errors import BundleError

onnx = pytest.importorskip("onnx", reason="needs the extra 'export': pip install 'bharsdk[export]'")

SINGLE = onnx.TensorProto.FLOAT
SHIPPED = {name: load_bundle(path).model for name, path in shipped_bundles().items()}
Nodes = list[Any]


def node(op: str, inputs: str, output: str = "logits", **attributes: Any) -> Any:
    return onnx.helper.make_node(op, inputs.split(), [output], **attributes)


def model(nodes: Nodes, constants: dict[str, Any] | None = None, **more: Any) -> Any:
    """A graph from x [N, 4, 6] to logits."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [value("x", SINGLE, ["N", 4, 6])],
        [value("logits", SINGLE, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    opset = [onnx.helper.make_opsetid(domain, 18) for domain in ("", *more.pop("domains", ()))]
    return onnx.helper.make_model(graph, opset_imports=opset, **more)


def refused(made: Any, reason: str) -> None:
    data = made if isinstance(made, bytes) else made.SerializeToString()
    tracemalloc.start()
    with pytest.raises(BundleError, match=reason) as caught:
        check_onnx(data, "bad.bhar: model.onnx")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert "\n" not in str(caught.value) and "bad.bhar: model.onnx" in str(caught.value)


@pytest.mark.parametrize("name", list(SHIPPED))
def test_what_ships_is_known_by_its_shapes(name: str) -> None:
    """Those that ONNX itself infers, of every tensor."""
    sizes = _Sizes(read_graph(SHIPPED[name]))
    cost = sizes.cost()
    assert 1e8 < cost.work < 2e9 and 1e6 < cost.values < 1e7
    inferred = onnx.shape_inference.infer_shapes(
        onnx.load_from_string(SHIPPED[name]), strict_mode=True, data_prop=True
    )
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        # Zero: of the batch, or a multiple of it.
        expected = [d.dim_value for d in value.type.tensor_type.shape.dim]
        mine = sizes._shapes[value.name]
        assert len(mine) == len(expected), value.name
        assert all(n in (0, m) for n, m in zip(expected, mine, strict=True)), value.name


LINEAR: list[tuple[Nodes, dict[str, Any], tuple[int, ...]]] = [
    ([node("Reshape", "x s")], {"s": [0, -1]}, (1, 24)),
    ([node("Transpose", "x", perm=[0, 2, 1])], {}, (1, 6, 4)),
    ([node("MatMul", "x w")], {"w": np.ones((6, 5), np.float32)}, (1, 4, 5)),
    ([node("Slice", "x a b c d")], {"a": [5], "b": [-7], "c": [2], "d": [-2]}, (1, 4, 3)),
    ([node("Pad", "x p")], {"p": [0, 1, 2, 0, 0, -1]}, (1, 5, 7)),
    ([node("Gather", "x i", axis=1)], {"i": np.array([[0, 1, 3]])}, (1, 1, 3, 6)),
    ([node("Unsqueeze", "x a")], {"a": [1, -1]}, (1, 1, 4, 6, 1)),
    ([node("ReduceMean", "x a", keepdims=0)], {"a": [-1]}, (1, 4)),
    ([node("Concat", "x x x", axis=2)], {}, (1, 4, 18)),
    ([node("Add", "x w")], {"w": np.ones((3, 1, 6), np.float32)[:, :, :1]}, (3, 4, 6)),
    ([node("Expand", "x s")], {"s": [3, 1, 1]}, (3, 4, 6)),
    ([node("Flatten", "x", axis=2)], {}, (4, 6)),
    ([node("CumSum", "x a")], {"a": np.array(2)}, (1, 4, 6)),
    ([node("AveragePool", "x", kernel_shape=[9], strides=[9], ceil_mode=1)], {}, (1, 4, 1)),
    ([node("MaxPool", "x", kernel_shape=[3], strides=[2], pads=[1, 1])], {}, (1, 4, 3)),
    ([node("Conv", "x w", group=2, pads=[1, 1])], {"w": np.ones((8, 2, 3), "f4")}, (1, 8, 6)),
    (
        [node("Constant", "", "c", value_ints=[0, 3, 8]), node("Reshape", "x s")],
        {"s": [3, 8]},
        (3, 8),
    ),
]


@pytest.mark.parametrize(("nodes", "constants", "shape"), LINEAR, ids=lambda of: str(of)[:40])
def test_every_rule_gives_the_shape_that_onnx_gives(
    nodes: Nodes, constants: dict[str, Any], shape: tuple[int, ...]
) -> None:
    made = model(nodes, constants)
    sizes = _Sizes(read_graph(made.SerializeToString()))
    sizes.cost()
    assert sizes._shapes["logits"] == shape
    session = pytest.importorskip("onnxruntime").InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (run,) = session.run(None, {"x": np.ones((1, 4, 6), np.float32)})
    assert run.shape == shape


def _external(tensor: Any, key: str = "location", value: str = "/etc/hostname") -> Any:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key=key, value=value)
    return tensor


def _with_external_constant() -> Any:
    made = model([node("Add", "x w")], {"w": np.ones(6, np.float32)})
    _external(made.graph.initializer[0])
    return made


def _in_an_attribute() -> Any:
    tensor = _external(onnx.numpy_helper.from_array(np.ones(6, np.float32), "w"))
    return model([node("Constant", "", "w", value=tensor), node("Add", "x w")])


def _without_saying_so() -> Any:
    """Only the list of where it lies, as data that claim to be inside."""
    made = _with_external_constant()
    made.graph.initializer[0].ClearField("data_location")
    return made


def _turned_around() -> bytes:
    """The key behind the value, so that no search for the usual bytes finds it."""
    made = _with_external_constant()
    entry = made.graph.initializer[0].external_data[0].SerializeToString()
    key, value = entry[:10], entry[10:]
    assert key == b"\x0a\x08location"
    data: bytes = made.SerializeToString().replace(entry, value + key)
    assert b"\x0a\x08location\x12" not in data
    return data


def _in_memory() -> Any:
    """ONNX Runtime's own mark of an address in this process."""
    made = _with_external_constant()
    made.graph.initializer[0].external_data[0].value = "*/_ORT_MEM_ADDR_/*"
    return made


@pytest.mark.parametrize(
    "make",
    [_with_external_constant, _in_an_attribute, _without_saying_so, _turned_around, _in_memory],
)
def test_a_graph_that_reads_other_files_is_refused_however_it_says_so(
    make: Callable[[], Any],
) -> None:
    refused(make(), "in another file")


def _branch(op: str) -> Any:
    value = onnx.helper.make_tensor_value_info("y", SINGLE, None)
    inner = onnx.helper.make_graph([node("Identity", "x", "y")], "i", [], [value])
    if op == "If":
        return node("If", "x", then_branch=inner, else_branch=inner)
    return node(op, "x x x", body=inner)


@pytest.mark.parametrize("op", ["If", "Loop", "Scan"])
def test_graphs_inside_of_nodes_are_refused(op: str) -> None:
    refused(model([_branch(op)]), "no graphs inside of nodes")


@pytest.mark.parametrize(
    ("nodes", "constants", "reason"),
    [
        ([node("ConstantOfShape", "s")], {"s": [1 << 40]}, "operator 'ConstantOfShape'"),
        ([node("Tile", "x s")], {"s": [1, 1 << 20, 1 << 20]}, "operator 'Tile'"),
        ([node("Range", "a b c")], {"a": 0, "b": 1 << 40, "c": 1}, "operator 'Range'"),
        ([node("NonZero", "x")], {}, "operator 'NonZero'"),
        ([node("Resize", "x a b c")], {"a": [], "b": [], "c": [1 << 30] * 3}, "'Resize'"),
        ([node("Einsum", "x x", equation="abc,def->abcdef")], {}, "'Einsum'"),
        ([node("Expand", "x s")], {"s": [1 << 22, 4, 6]}, "at once"),
        ([node("Expand", "x x")], {}, "is computed, expected a constant"),
        ([node("Pad", "x p")], {"p": [0, 0, 0, 0, 0, 1 << 40]}, "at once"),
        ([node("Pad", "x p")], {"p": [0, 0, 0, 0, 0, -9]}, "of shape"),
        ([node("Reshape", "x s")], {"s": [5, 5]}, "Reshape .* shapes contradict"),
        ([node("Add", "x nothing")], {}, "Add .* shapes contradict"),
        ([node("Transpose", "x", perm=[0, 0, 0])], {}, "Transpose"),
        ([node("Concat", " ".join(["x"] * 50), f"y{i}", axis=1) for i in range(3)], {}, "twice|"),
        ([node("Relu", "x", "y"), node("Relu", "x", "y")], {}, "made twice"),
    ],
)
def test_what_expands_or_is_not_known_is_refused(
    nodes: Nodes, constants: dict[str, Any], reason: str
) -> None:
    if reason == "twice|":
        names = [f"y{i}" for i in range(5)]
        nodes = [
            node("Concat", " ".join([before] * 50), after, axis=1)
            for before, after in zip(["x", *names], names, strict=False)
        ]
        reason = "at once"
    refused(model(nodes, constants), reason)


def test_broadcasting_does_not_get_around_the_bound() -> None:
    """Sums of a column and a row, each made of the last one, square what there is."""
    nodes: Nodes = []
    last = "x"
    for i in range(4):
        nodes += [
            node("Reshape", f"{last} column", f"a{i}"),
            node("Reshape", f"{last} row", f"b{i}"),
            node("Add", f"a{i} b{i}", f"c{i}"),
        ]
        last = f"c{i}"
    refused(model(nodes, {"column": [-1, 1], "row": [1, -1]}), "at once")


def test_many_multiply_adds_are_refused() -> None:
    """Seventy products of matrices that fit well."""
    nodes = [node("MatMul", "w w", f"y{i}") for i in range(70)]
    made = model(nodes, {"w": np.ones((700, 700), np.float32)})
    refused_at = pytest.raises(BundleError, match=r"operations, expected at most .* and 2e\+10")
    with refused_at:
        check_onnx(made.SerializeToString(), "x")


def test_nodes_may_come_in_any_order_but_in_no_circle() -> None:
    """The converter to half precision puts its own ones last, and ONNX Runtime sorts them."""
    late = [node("Relu", "y"), node("MatMul", "x w", "y")]
    assert check_onnx(model(late, {"w": np.ones((6, 5), "f4")}).SerializeToString(), "x").work > 0
    refused(model([node("Add", "x z", "y"), node("Relu", "y", "z")]), "without cycles")


def test_functions_and_other_domains_are_refused() -> None:
    own = onnx.helper.make_opsetid("", 18)
    inner = onnx.helper.make_function("theirs", "F", ["a"], ["b"], [node("Relu", "a", "b")], [own])
    made = model([node("F", "x", domain="theirs")], domains=["theirs"], functions=[inner])
    refused(made, "field 25 of type 2 in a model")
    made.ClearField("functions")
    refused(made, "operator 'F' of 'theirs'")
    refused(model([node("FusedMatMul", "x x", domain="com.microsoft")]), "'FusedMatMul'")


def test_a_constant_that_claims_more_than_it_holds_is_refused() -> None:
    made = model([node("Add", "x w")], {"w": np.ones(6, np.float32)})
    for dims in ([1 << 40], [7], [6, -1], [1] * 20, [1 << 62, 1 << 62]):
        tensor = made.graph.initializer[0]
        del tensor.dims[:]
        tensor.dims.extend(dims)
        refused(made, "values|of shape")


def test_a_field_that_other_parsers_would_merge_is_refused() -> None:
    """protobuf joins two graphs into one: then we would have looked at half of it."""
    made = model([node("Relu", "x")])
    other = model([_branch("Loop")])
    both = onnx.ModelProto(graph=other.graph).SerializeToString()
    refused(made.SerializeToString() + both, "field 7 of a model twice")


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x0b\x0c"]
)
def test_what_is_no_protobuf_is_refused(data: bytes) -> None:
    refused(data, "does not load")


SMALL = model(
    [node("MatMul", "x w", "y"), node("ReduceMean", "y a", keepdims=0)],
    {"w": np.ones((6, 3), np.float32), "a": [1]},
).SerializeToString()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_damaged_nothing_but_a_bundle_error_comes_out(
    damage: Callable[..., bytes], data: st.DataObject
) -> None:
    with contextlib.suppress(BundleError):
        check_onnx(damage(data, SMALL), "damaged")


def test_a_bundle_whose_graph_loops_does_not_run(presence_bundle: Path) -> None:
    from bharsdk.bundle.bundle import make_bundle
    from bharsdk.engines.engine import open_engine

    bundle = load_bundle(presence_bundle)
    files = {"model.onnx": model([_branch("Loop")]).SerializeToString()}
    with pytest.raises(BundleError, match="no graphs inside"):
        open_engine(make_bundle("loops", bundle.manifest, files))
