"""The kernels as custom ops of ONNX Runtime: what bharsdk.kernels.ops computes, inside a graph."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bharsdk.errors import BackendMissingError
from bharsdk.kernels import ops

onnx = pytest.importorskip("onnx", reason="needs the extra 'export' to make a graph")
onnxruntime = pytest.importorskip("onnxruntime", reason="runs graphs in ONNX Runtime")

Array = npt.NDArray[np.float32]
OFFSETS = (-3, 0, 2, 90)


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _inputs(**shapes: tuple[int, ...]) -> dict[str, Array]:
    return {name: _random(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}


def _graph(op: str, inputs: dict[str, Array], attributes: dict[str, Any]) -> bytes:
    """One node of ``op``, whose inputs may have any sizes."""
    make = onnx.helper
    node = make.make_node(op, list(inputs), ["out"], domain="bharsdk", **attributes)
    given = [
        make.make_tensor_value_info(
            name, make.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim
        )
        for name, array in inputs.items()
    ]
    out = make.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    opsets = [make.make_opsetid("", 18), make.make_opsetid("bharsdk", 1)]
    graph = make.make_graph([node], "one", given, [out])
    model: bytes = make.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return model


def _session(op: str, inputs: dict[str, Array], **attributes: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # refusals are expected: raised, not printed too
    options.register_custom_ops_library(ops.onnxruntime_library())
    graph = _graph(op, inputs, attributes)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


STATIC = _inputs(x=(2, 3, 5, 7, 19), a=(3, 19, 23))
CHANNEL_WISE = _inputs(x=(2, 3, 5, 7, 19), a=(2, 3, 5, 19, 23))
PAIRS = _inputs(to=(2, 9, 4, 3), from_=(2, 11, 4, 3))
REFINED = _inputs(
    value=(2, 3, 5, 11, 34),
    relation=(2, 3, 2, 9, 11, 5),
    weight=(3, 5, 34),
    shift=(3, 34),
    a=(3, 9, 11),
)
FRAMES = _inputs(x=(2, 13, 7, 5), weight=(4, 5, 33), bias=(33,))
TAPS = {"offsets": OFFSETS, "stride": 2, "slope": 0.1}


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "wanted"),
    [
        ("GraphAggregate", STATIC, {}, lambda: ops.graph_aggregate(**STATIC)),
        ("GraphAggregate", CHANNEL_WISE, {}, lambda: ops.graph_aggregate(**CHANNEL_WISE)),
        ("PairwiseTanh", PAIRS, {}, lambda: ops.pairwise_tanh(**PAIRS)),
        ("RefinedAggregate", REFINED, {}, lambda: ops.refined_aggregate(**REFINED)),
        (
            "TemporalConv",
            FRAMES,
            TAPS,
            lambda: ops.temporal_conv(**FRAMES, offsets=OFFSETS, stride=2, slope=0.1),
        ),
    ],
    ids=["static A", "channel-wise A", "pairwise_tanh", "refined_aggregate", "temporal_conv"],
)
def test_a_node_gives_what_the_function_gives_bit_for_bit(
    op: str, inputs: dict[str, Array], attributes: dict[str, Any], wanted: Callable[[], Array]
) -> None:
    """One kernel behind both, on sizes that are no multiple of anything."""
    (out,) = _session(op, inputs, **attributes).run(None, inputs)
    np.testing.assert_array_equal(out, wanted())


def test_a_node_takes_the_sizes_as_they_come() -> None:
    """Nothing is fixed when the session starts, and empty is a size too."""
    session = _session("GraphAggregate", STATIC)
    for n, k in ((1, 1), (4, 2), (0, 3), (2, 0)):
        inputs = _inputs(x=(n, k, 2, 3, 5), a=(k, 5, 6))
        (out,) = session.run(None, inputs)
        np.testing.assert_array_equal(out, ops.graph_aggregate(**inputs))


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "changed", "message"),
    [
        ("GraphAggregate", STATIC, {}, {"a": (3, 18, 23)}, r"got x .* a \[3, 18, 23\], expected"),
        ("PairwiseTanh", PAIRS, {}, {"from_": (2, 11, 4, 2)}, r"expected from \[2, -1, 4, 3\]"),
        ("RefinedAggregate", REFINED, {}, {"shift": (3, 33)}, r"got shift \[3, 33\], expected \[3"),
        ("TemporalConv", FRAMES, TAPS, {"bias": (32,)}, r"got bias \[32\], expected \[33\]"),
        ("TemporalConv", FRAMES, TAPS, {"weight": (3, 5, 33)}, "got 4 offsets, expected one for"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    op: str,
    inputs: dict[str, Array],
    attributes: dict[str, Any],
    changed: dict[str, tuple[int, ...]],
    message: str,
) -> None:
    """Before anything is computed, with what was got and expected; the session goes on after."""
    session = _session(op, inputs, **attributes)
    with pytest.raises(Exception, match=f"{op}: .*{message}"):
        session.run(None, {**inputs, **_inputs(**changed)})
    assert session.run(None, inputs)[0].size > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": None}, "got no attribute offsets that is integers"),
        ({"stride": 2.0}, "got no attribute stride that is an integer"),
        ({"slope": None}, "got no attribute slope that is a float"),
    ],
)
def test_no_attribute_may_be_left_out(change: dict[str, Any], message: str) -> None:
    """A misspelt one would else be its default; the session does not start."""
    attributes = {name: value for name, value in {**TAPS, **change}.items() if value is not None}
    with pytest.raises(Exception, match=f"TemporalConv: {message}"):
        _session("TemporalConv", FRAMES, **attributes)


def test_other_types_than_float32_are_refused() -> None:
    """As the graph loads."""
    doubles = {name: array.astype(np.float64) for name, array in STATIC.items()}
    with pytest.raises(Exception, match=r"tensor\(double\)"):
        _session("GraphAggregate", doubles)


def test_sessions_share_the_library_and_outlive_each_other() -> None:
    """Two at once, their options gone, then one alone, then a new one."""
    wanted = ops.graph_aggregate(**STATIC)
    first, second = (_session("GraphAggregate", STATIC) for _ in range(2))
    for session in (first, second):
        np.testing.assert_array_equal(session.run(None, STATIC)[0], wanted)
    del first, session
    gc.collect()
    np.testing.assert_array_equal(second.run(None, STATIC)[0], wanted)
    del second
    gc.collect()
    np.testing.assert_array_equal(_session("GraphAggregate", STATIC).run(None, STATIC)[0], wanted)


def test_threads_may_run_one_session_at_the_same_time() -> None:
    """A node keeps nothing of a run."""
    session, wanted = _session("RefinedAggregate", REFINED), ops.refined_aggregate(**REFINED)
    results: list[Any] = [None] * 4

    def work(index: int) -> None:
        for _ in range(10):
            results[index] = session.run(None, REFINED)[0]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, wanted)


def test_the_forced_instruction_set_holds_in_graphs_too(tmp_path: Path) -> None:
    """A name that does not exist stops the session; nothing falls back in silence."""
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(_graph("GraphAggregate", STATIC, {}))
    program = (
        "import sys, onnxruntime\n"
        "options = onnxruntime.SessionOptions()\n"
        "options.register_custom_ops_library(sys.argv[1])\n"
        "onnxruntime.InferenceSession(sys.argv[2], options)\n"
    )
    command = [sys.executable, "-c", program, ops.onnxruntime_library(), str(graph)]
    for name, said in (("mmx", "got instruction set 'mmx', expected one of"), ("scalar", "")):
        environment = {**os.environ, "BHAR_FORCE_ISA": name}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode != 0) == bool(said), result.stderr
        assert said in result.stderr


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With its path, and what to do."""
    monkeypatch.setattr(ops._ops, "__file__", str(tmp_path / "_ops.so"))
    with pytest.raises(BackendMissingError, match=r"got no .*_onnx_ops.so, expected .*pip install"):
        ops.onnxruntime_library()
