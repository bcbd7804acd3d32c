"""Promises of streams of ONNX Runtime: the state is the graph's, and a graph that lies is refused.

The graph here counts the frames in which a hand was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from bharsdk import Recognizer
from bharsdk.bundle.bundle import STEP_MODEL, Bundle, load_bundle, make_bundle
from bharsdk.engines.engine import Backend, Engine, backends_of, model_stream, open_engine
from bharsdk.engines.onnx import OnnxEngine
from bharsdk.engines.onnx_step import OnnxStepEngine, OnnxStream
from bharsdk.errors import BackendMissingError, BundleError, InputError, UsageError

onnx: ModuleType = pytest.importorskip(
    "onnx", reason="needs the extra 'export': pip install 'bharsdk[export]'"
)


@pytest.fixture(scope="module")
def bundle(presence_bundle: Path) -> Bundle:
    """Logits: 0, and of how many frames the left and the right hand were seen."""
    bundle = load_bundle(presence_bundle)
    make, single = onnx.helper, onnx.TensorProto.FLOAT
    channels = bundle.manifest.features.channels
    constants = {
        "presence": np.array(channels - 1, np.int64),
        "axes": np.array([1, 2], np.int64),
        "all": np.array([1, 2, 3, 4], np.int64),
        "zero": np.array([[0]], np.float32),
    }
    nodes = [
        make.make_node("Gather", ["hands", "presence"], ["seen"], axis=1),  # [N, 1, 21, 2]
        make.make_node("ReduceMean", ["seen", "axes"], ["now"], keepdims=0),  # [N, 2]
        make.make_node("Add", ["state.seen", "now"], ["next.seen"]),
        make.make_node("ReduceMean", ["body", "all"], ["any"], keepdims=0),
        make.make_node("Unsqueeze", ["any", "one"], ["column"]),
        make.make_node("Mul", ["column", "zero"], ["nothing"]),
        make.make_node("Concat", ["nothing", "next.seen"], ["logits"], axis=1),
    ]
    constants["one"] = np.array([1], np.int64)
    graph = make.make_graph(
        nodes,
        "hands seen",
        [
            make.make_tensor_value_info("body", single, ["N", channels, 1, 25, 1]),
            make.make_tensor_value_info("hands", single, ["N", channels, 1, 21, 2]),
            make.make_tensor_value_info("state.seen", single, ["N", 2]),
        ],
        [
            make.make_tensor_value_info("logits", single, ["N", 3]),
            make.make_tensor_value_info("next.seen", single, ["N", 2]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    files = {**bundle.files, STEP_MODEL: model.SerializeToString()}
    return make_bundle("counting", bundle.manifest, files)


def _frame(bundle: Bundle, right: float = 1.0) -> dict[str, npt.NDArray[np.float32]]:
    channels = bundle.manifest.features.channels
    frame = {"body": np.zeros((channels, 25, 1), np.float32)}
    frame["hands"] = np.zeros((channels, 21, 2), np.float32)
    frame["hands"][-1, :, 1] = right
    return frame


def _changed(bundle: Bundle, edit: Callable[[Any], None]) -> Bundle:
    model = onnx.load_from_string(bundle.files[STEP_MODEL])
    edit(model.graph)
    files = {**bundle.files, STEP_MODEL: model.SerializeToString()}
    return make_bundle("edited", bundle.manifest, files)


def test_each_stream_has_its_own_state_until_a_reset(bundle: Bundle) -> None:
    engine = OnnxEngine(bundle)
    one, other = engine.stream(), engine.stream()
    for _ in range(3):
        logits = one.step(_frame(bundle))
    assert logits.tolist() == [0, 0, 3]
    assert other.step(_frame(bundle)).tolist() == [0, 0, 1]
    assert (one.frames, other.frames) == (3, 1)
    one.reset()
    assert one.frames == 0
    assert one.step(_frame(bundle)).tolist() == [0, 0, 1]


def test_a_clip_is_a_stream_from_a_reset(bundle: Bundle) -> None:
    """As a backend of its own, which `bhar verify` replays."""
    assert Backend.ONNX_STEP in backends_of(bundle)
    engine, frame = open_engine(bundle, Backend.ONNX_STEP), _frame(bundle)
    frames = bundle.manifest.features.frames
    clips = {name: np.repeat(x[None, :, None], frames, 2) for name, x in frame.items()}
    for _ in range(2):
        assert engine.run(clips).tolist() == [[0, 0, frames]]


def test_what_is_no_frame_is_refused_and_changes_nothing(bundle: Bundle) -> None:
    stream, frame = OnnxEngine(bundle).stream(), _frame(bundle)
    assert isinstance(stream, OnnxStream)
    stream.step(frame)
    with pytest.raises(InputError, match=r"got inputs .'body'.*hands is missing"):
        stream.step({"body": frame["body"]})
    with pytest.raises(InputError, match="got hands float64"):
        stream.step({**frame, "hands": frame["hands"].astype(np.float64)})
    with pytest.raises(InputError, match=r"got body .* expected float32 .*25, 1"):
        stream.step({**frame, "body": frame["body"][:, :24]})
    assert stream.frames == 1
    assert stream.step(frame).tolist() == [0, 0, 2]


def test_a_bundle_without_a_step_form_says_how_to_get_one(presence_bundle: Path) -> None:
    bundle = load_bundle(presence_bundle)
    with pytest.raises(UsageError, match="--causal"):
        OnnxEngine(bundle).stream()
    with pytest.raises(BackendMissingError, match="--causal"):
        open_engine(bundle, Backend.ONNX_STEP)


def test_a_recognizer_gives_streams_of_its_model(bundle: Bundle) -> None:
    """Each with a state of its own; the names come from `bharsdk` alone."""
    recognizer = Recognizer(bundle, backend="onnx")
    one, other = recognizer.model_stream(), recognizer.model_stream()
    one.step(_frame(bundle))
    assert one.step(_frame(bundle)).tolist() == [0, 0, 2]
    assert other.step(_frame(bundle)).tolist() == [0, 0, 1]
    one.reset()
    assert one.step(_frame(bundle)).tolist() == [0, 0, 1]


def test_a_recognizer_of_whole_clips_says_why_it_has_no_stream(presence_bundle: Path) -> None:
    with pytest.raises(UsageError, match="--causal"):
        Recognizer(presence_bundle, backend="onnx").model_stream()


def test_a_backend_of_whole_clips_says_which_takes_frames() -> None:
    class WholeClips:
        name = "onnxruntime-web fp32"

    with pytest.raises(BackendMissingError, match=r"takes whole clips.*backend='native' or 'onnx'"):
        model_stream(cast("Engine", WholeClips()))


def _rename(graph: Any) -> None:
    graph.output[1].name = graph.node[2].output[0] = "next.other"
    graph.node[-1].input[1] = "next.other"


def _hoard(graph: Any) -> None:
    value, single = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    names = "state.hoard", "next.hoard"
    graph.input.append(value(names[0], single, ["N", 1 << 23]))
    graph.output.append(value(names[1], single, ["N", 1 << 23]))
    graph.node.append(onnx.helper.make_node("Identity", names[:1], names[1:]))


def _free(graph: Any) -> None:
    graph.input[2].type.tensor_type.shape.dim[1].dim_param = "any"


def _of_another_skeleton(graph: Any) -> None:
    graph.input[1].type.tensor_type.shape.dim[3].dim_value = 20


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_rename, r"expected logits and each state.NAME again, as next.NAME"),
        (_hoard, "state of 33554440 bytes"),
        (_free, "state.seen.* fixed but for the batch"),
        (_of_another_skeleton, "got inputs and classes .* expected"),
    ],
)
def test_a_graph_that_is_no_step_of_this_model_is_refused(
    bundle: Bundle, edit: Callable[[Any], None], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        OnnxStepEngine(_changed(bundle, edit))


def test_damage_is_one_line(bundle: Bundle) -> None:
    broken = make_bundle("broken", bundle.manifest, {**bundle.files, STEP_MODEL: b"no graph"})
    with pytest.raises(BundleError, match="does not load") as caught:
        OnnxEngine(broken).stream()
    assert "\n" not in str(caught.value)
