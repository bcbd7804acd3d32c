"""The step form gives, frame by frame, the logits of the causal model on the clip so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch import Tensor

from bhar_export.cli import main
from bhar_export.step.form import StepModel, step_form, to_step_onnx
from bhar_export.tensorrt.target import accepted_by_tensorrt
from bhar_training.data.batches import features_of, input_specs
from bhar_training.data.clips import load_clips
from bhar_training.models import Fusion, ModelConfig, ModelName, build_model
from bhar_training.models.action_model import ActionModel, InputSpec, InputSpecs
from bharsdk.bundle.bundle import STEP_LOGITS, STEP_MODEL, STEP_TFLITE, Bundle, load_bundle
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.engines.engine import Backend, backends_of
from bharsdk.engines.golden_check import verify_bundle
from bharsdk.engines.native import NativeEngine
from bharsdk.engines.onnx import OnnxEngine
from bharsdk.engines.onnx_step import OnnxStep
from bharsdk.errors import UsageError
from bharsdk.landmarks.skeleton import KINECT20, NTU25

Array = npt.NDArray[np.float32]
MakeModel = Callable[[ModelConfig, InputSpecs], ActionModel]
MakeInputs = Callable[..., dict[str, Array]]
"""See their fixtures."""

WORDS = Path(__file__).parents[2] / "data" / "words.npz"
CLASSES, WINDOW, FRAMES = 5, 6, 19
MEDIAPIPE = input_specs(FeatureConfig(modalities=(Modality.JOINT,)))
TWO_PERSONS = {"body": InputSpec("body", NTU25, 2, 3, 3, 24)}
KINECT = {"body": InputSpec("body", KINECT20, 1, 3, 3, 24)}
BOTH_WITH_HANDS = {**MEDIAPIPE, "body": replace(MEDIAPIPE["body"], persons=2)}


def _tensors(inputs: dict[str, Array]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in inputs.items()}


def _shapes(clips: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(clip.shape[1:]) for name, clip in clips.items()}


def _reset(step: StepModel, clips: int) -> dict[str, Tensor]:
    return {name: x.expand(clips, *x.shape[1:]) for name, x in step.state.items()}


def _frame(clips: dict[str, Tensor], t: int) -> dict[str, Tensor]:
    return {name: clip[:, :, t : t + 1] for name, clip in clips.items()}


CAUSAL = [
    (ModelConfig(ModelName.PR_GCN, window=WINDOW), MEDIAPIPE),
    (ModelConfig(ModelName.PR_GCN, window=WINDOW), TWO_PERSONS),
    (ModelConfig(ModelName.PR_GCN, prm=False, tam=False, window=WINDOW), KINECT),
    (ModelConfig(ModelName.BHARNET_E, window=WINDOW), MEDIAPIPE),
    (ModelConfig(ModelName.BHARNET_E, window=WINDOW, fusion=Fusion.NOISY_OR), MEDIAPIPE),
    (ModelConfig(ModelName.BODY_EXPERT, window=WINDOW), TWO_PERSONS),
    (ModelConfig(ModelName.BHARNET_E_FULL, window=WINDOW), MEDIAPIPE),
    (ModelConfig(ModelName.BHARNET_E_FULL, window=WINDOW), BOTH_WITH_HANDS),
    (ModelConfig(ModelName.BHARNET_P, window=WINDOW), MEDIAPIPE),
    (ModelConfig(ModelName.BHARNET_P, window=WINDOW), BOTH_WITH_HANDS),
]


@pytest.mark.parametrize(
    ("config", "layout"),
    [
        pytest.param(
            *(config, layout),
            id=f"{config.name.value}-{layout['body'].skeleton.name}-{i}",
            # Other ways to put together what the first of each name is made of.
            marks=pytest.mark.long if config.name in [c.name for c, _ in CAUSAL[:i]] else (),
        )
        for i, (config, layout) in enumerate(CAUSAL)
    ],
)
def test_at_every_frame_the_logits_are_those_of_the_clip_so_far(
    config: ModelConfig, layout: InputSpecs, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Of two clips at once, through all phases of the strides and beyond the window."""
    model, clips = (
        make_model(config, layout).deploy().eval(),
        _tensors(make_inputs(layout, FRAMES, 2)),
    )
    step = step_form(model, _shapes(clips))
    state = _reset(step, 2)
    with torch.no_grad():
        for t in range(FRAMES):
            logits, state = step(_frame(clips, t), state)
            so_far = {name: clip[:, :, : t + 1] for name, clip in clips.items()}
            expected = model(so_far)
            assert (logits - expected).abs().max() <= 1e-4 * max(1.0, expected.abs().max()), t


@pytest.mark.parametrize("config", [CAUSAL[0][0]], ids=lambda c: c.name.value)
def test_the_graph_is_the_step_for_any_number_of_streams(
    config: ModelConfig, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Three streams at once, one of which starts anew on the way: each has its own state."""
    model, clips = (
        make_model(config, MEDIAPIPE).deploy().eval(),
        _tensors(make_inputs(MEDIAPIPE, 7, 3)),
    )
    step = step_form(model, _shapes(clips))
    graph = OnnxStep(to_step_onnx(step).SerializeToString())
    assert list(graph.frame) == ["body", "hands"]
    assert list(graph.state) == list(step.state)
    assert next(iter(graph.state)) == "frames"
    state, arrays = graph.reset(3), {name: clip.numpy() for name, clip in clips.items()}
    for t in range(7):
        if t == 3:
            for array in (value.numpy() for value in state.values()):
                array[1] = 0
        logits, state = graph.step({n: x[:, :, t : t + 1] for n, x in arrays.items()}, state)
    for i, begin in enumerate((0, 3, 0)):
        of_stream = {name: clip[i : i + 1, :, begin:] for name, clip in clips.items()}
        with torch.no_grad():
            expected = model(of_stream)[0].numpy()
        assert np.abs(logits[i] - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max()), i


def test_a_stream_never_ends(make_model: MakeModel, make_inputs: MakeInputs) -> None:
    """The count of frames goes round before a float cannot count, and nothing notices."""
    model, clips = (
        make_model(CAUSAL[0][0], MEDIAPIPE).deploy().eval(),
        _tensors(make_inputs(MEDIAPIPE, 1, 1)),
    )
    step = step_form(model, _shapes(clips))
    state, counts = _reset(step, 1), []
    with torch.no_grad():
        for _ in range(150):
            _, state = step(clips, state)
            counts.append(state["frames"].item())
    assert max(counts) < 100
    assert counts[-24:] == counts[-48:-24]  # the strides' six frames and a topology's eight


def test_a_state_is_small(make_inputs: MakeInputs) -> None:
    """Of BHaRNet-E two megabytes, however long its window."""
    config, layout = ModelConfig(ModelName.BHARNET_E, window=24), input_specs(FeatureConfig())
    model = build_model(config, layout, CLASSES).eval().deploy()
    step = step_form(model, _shapes(_tensors(make_inputs(layout, 24, 1))))
    assert 4 * sum(state.numel() for state in step.state.values()) < 2_200_000


def test_a_model_of_whole_clips_has_no_step_form(make_inputs: MakeInputs) -> None:
    model = build_model(ModelConfig(ModelName.PR_GCN), MEDIAPIPE, CLASSES).eval().deploy()
    with pytest.raises(UsageError, match=r"whole clips.* --causal"):
        step_form(model, _shapes(_tensors(make_inputs(MEDIAPIPE, 4, 1))))


@pytest.fixture(scope="module")
def causal_bundle(causal_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A float32 bundle for ONNX Runtime, for LiteRT and for our own kernels."""
    output = tmp_path_factory.mktemp("step") / "model.bhar"
    targets = ["--target", "native", "--target", "tflite"]
    arguments = [str(causal_checkpoint), *targets, "--eval", str(WORDS)]
    assert main([*arguments, "--output", str(output)]) == 0
    return load_bundle(output)


def test_the_export_of_a_causal_model_has_its_step_form_and_measures_it(
    causal_bundle: Bundle,
) -> None:
    """Clips frame by frame have the accuracy of whole ones; the time is that of one frame."""
    forms = causal_bundle.report["forms"]
    steps = {name: form for name, form in forms.items() if "-step-" in name}
    assert list(steps) == ["onnx-step-fp32", "tflite-step-fp32"]
    assert {STEP_MODEL, STEP_TFLITE} <= set(causal_bundle.files)
    for step in steps.values():
        assert step["status"] == "ok"
        assert step["difference"]["largest"] <= 1e-4
        assert step["accuracy"] == forms["onnx-fp32"]["accuracy"]
        assert step["latency_ms"] > 0
    assert verify_bundle(causal_bundle, Backend.ONNX_STEP).max_abs_difference <= 1e-3
    assert Backend.ONNX_STEP in backends_of(causal_bundle)


def test_tensorrt_takes_the_graph_as_it_is(causal_bundle: Bundle) -> None:
    """For a GPU of Orin's generation and for a Blackwell, with none here."""
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this machine")
    graph = causal_bundle.files[STEP_MODEL]
    inputs = onnx.load_from_string(graph).graph.input
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim[1:])
        for value in inputs
    }
    assert set(accepted_by_tensorrt(graph, shapes)) == {"SM86", "SM120"}


def test_onnx_runtime_and_our_own_kernels_stream_alike(causal_bundle: Bundle) -> None:
    """Real clips, frame by frame, the same logits at every frame; and again after a reset."""
    clips = features_of(load_clips(WORDS), causal_bundle.manifest.features)
    body, hands = clips["body"], clips["hands"]
    streams = OnnxEngine(causal_bundle).stream(), NativeEngine(causal_bundle).stream()
    for clip in range(2):
        for t in range(body.shape[2]):
            frame = {
                "body": body[clip, :, t].numpy().copy(),
                "hands": hands[clip, :, t].numpy().copy(),
            }
            ours, native = (stream.step(frame) for stream in streams)
            np.testing.assert_allclose(ours, native, atol=1e-4)
        for stream in streams:
            assert stream.frames == body.shape[2]
            stream.reset()


def test_a_quantized_bundle_streams_in_floats(causal_checkpoint: Path, tmp_path: Path) -> None:
    """With golden logits of its own."""
    output, data = tmp_path / "model.bhar", ["--int8", "--calib", str(WORDS), "--max-drop", "100"]
    assert main([str(causal_checkpoint), *data, "--output", str(output)]) == 0
    bundle = load_bundle(output)
    assert {STEP_MODEL, STEP_LOGITS} <= set(bundle.files)
    assert verify_bundle(bundle, Backend.ONNX_STEP).max_abs_difference <= 1e-3
    assert list(bundle.report["forms"]) == ["onnx-fp32", "onnx-step-fp32", "onnx-int8"]
