"""The native network computes what torch does, for every model that has a native form."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bhar_export.cli import main
from bhar_export.graph.exported_model import ExportedModel
from bhar_export.graph.graph import deploy
from bhar_export.graph.spec import DataSpec
from bhar_export.native import target as native
from bhar_export.quantization.calibration_clips import load_features
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.quantization.verify import run_exported
from bhar_training.checkpoint import load_checkpoint
from bhar_training.data.batches import features_of, input_specs
from bhar_training.data.clips import load_clips
from bhar_training.models import BackboneName, Fusion, ModelConfig, ModelName, build_model
from bhar_training.models.action_model import ActionModel, InputSpec, InputSpecs
from bharsdk import _ops
from bharsdk.bundle.bundle import (
    NATIVE_INTEGERS,
    NATIVE_LOGITS,
    NATIVE_NETWORK,
    NATIVE_WEIGHTS,
    load_bundle,
)
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.engines.engine import Backend, open_engine
from bharsdk.engines.golden_check import verify_bundle
from bharsdk.engines.native import NativeEngine
from bharsdk.engines.network import build_network
from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks.skeleton import KINECT20, NTU25

Array = npt.NDArray[np.float32]
Inputs = dict[str, Array]
MakeModel = Callable[[ModelConfig, InputSpecs], ActionModel]
MakeInputs = Callable[..., Inputs]
"""See their fixtures."""

WORDS = Path(__file__).parents[2] / "data" / "words.npz"
CLASSES = 5
MEDIAPIPE = input_specs(FeatureConfig(modalities=(Modality.JOINT,)))
TWO_PERSONS = {"body": InputSpec("body", NTU25, 2, 3, 3, 24)}
KINECT = {"body": InputSpec("body", KINECT20, 1, 3, 3, 24)}
BOTH_WITH_HANDS = {**MEDIAPIPE, "body": replace(MEDIAPIPE["body"], persons=2)}
"""As many bodies as hands."""
WIDE = input_specs(FeatureConfig())


def _exact(model: ActionModel, inputs: Inputs) -> npt.NDArray[np.float64]:
    """Logits of the model itself, in float64."""
    return _logits(copy.deepcopy(model).double(), inputs)


def _logits(double: ActionModel, inputs: Inputs) -> npt.NDArray[np.float64]:
    tensors = {name: torch.from_numpy(array).double() for name, array in inputs.items()}
    with torch.no_grad():
        logits: npt.NDArray[np.float64] = double(tensors).numpy()
    return logits


def _native(model: ActionModel, inputs: Inputs) -> ExportedModel:
    shapes = {name: array.shape[1:] for name, array in inputs.items()}
    return native.build(deploy(model), shapes, CLASSES)


@pytest.mark.parametrize("frames", [24, 7, 1])
@pytest.mark.parametrize(
    ("config", "layout"),
    [
        (ModelConfig(ModelName.BHARNET_E), MEDIAPIPE),
        (ModelConfig(ModelName.BHARNET_E, fusion=Fusion.NOISY_OR), MEDIAPIPE),
        (ModelConfig(ModelName.BHARNET_E_FULL), MEDIAPIPE),
        (ModelConfig(ModelName.BHARNET_E_FULL), BOTH_WITH_HANDS),
        (ModelConfig(ModelName.BHARNET_E_FULL, fusion=Fusion.NOISY_OR), MEDIAPIPE),
        (ModelConfig(ModelName.BHARNET_P), MEDIAPIPE),
        (ModelConfig(ModelName.BHARNET_P), BOTH_WITH_HANDS),
        (ModelConfig(ModelName.BHARNET_P, fusion=Fusion.NOISY_OR), MEDIAPIPE),
        (ModelConfig(ModelName.BODY_EXPERT), TWO_PERSONS),
        (ModelConfig(ModelName.BODY_EXPERT), KINECT),
        (ModelConfig(ModelName.PR_GCN), MEDIAPIPE),
        (ModelConfig(ModelName.PR_GCN), TWO_PERSONS),
        (ModelConfig(ModelName.PR_GCN, prm=False, tam=False), TWO_PERSONS),
        (ModelConfig(ModelName.PR_GCN, prm=True, tam=False), KINECT),
    ],
    ids=lambda value: (
        value.name.value if isinstance(value, ModelConfig) else value["body"].skeleton.name
    ),
)
def test_logits_are_those_of_torch(
    config: ModelConfig,
    layout: InputSpecs,
    frames: int,
    make_model: MakeModel,
    make_inputs: MakeInputs,
) -> None:
    """Any clip length, also one that no stride divides, one or two persons, any skeleton."""
    model, inputs = make_model(config, layout), make_inputs(layout, frames)
    expected = _exact(model, inputs)
    got = _native(model, inputs).run(inputs)
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_model_of_hands_reads_only_hands(make_model: MakeModel, make_inputs: MakeInputs) -> None:
    config = ModelConfig(ModelName.HAND_EXPERT)
    model, inputs = make_model(config, MEDIAPIPE), make_inputs(MEDIAPIPE, 12)
    hands = {"hands": inputs["hands"]}
    exported = native.build(deploy(model), {"hands": hands["hands"].shape[1:]}, CLASSES)
    assert exported.reads == ("hands",)
    expected = _exact(model, inputs)
    assert np.abs(exported.run(hands) - expected).max() <= 1e-5 * np.abs(expected).max()


OF_CLIPS = [
    ModelName.BHARNET_E,
    ModelName.BHARNET_E_FULL,
    ModelName.BHARNET_P,
    ModelName.PR_GCN,
]


@pytest.mark.parametrize("isa", _ops.available_isas())
@pytest.mark.parametrize("name", OF_CLIPS)
def test_every_instruction_set_runs_whole_models(
    isa: str, name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    model, inputs = make_model(ModelConfig(name), MEDIAPIPE), make_inputs(MEDIAPIPE, 9, 1)
    files = _native(model, inputs).files
    network = build_network(files[NATIVE_NETWORK], files[NATIVE_WEIGHTS], "test", isa)
    assert network.isa == isa
    expected = _exact(model, inputs)
    got = network.run(list(inputs.values()))
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", OF_CLIPS)
def test_clips_side_by_side_and_in_threads_give_the_bits_of_one_alone(
    name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """One network serves all streams: no run leaves anything behind for another one."""
    model, inputs = make_model(ModelConfig(name), MEDIAPIPE), make_inputs(MEDIAPIPE, 8, 6)
    exported = _native(model, inputs)
    together = exported.run(inputs)
    alone = [{n: a[i : i + 1].copy() for n, a in inputs.items()} for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            results = list(pool.map(exported.run, alone))
            np.testing.assert_array_equal(np.concatenate(results), together)


@pytest.mark.parametrize("name", OF_CLIPS)
def test_a_coordinate_that_is_no_number_is_not_hidden(
    name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    model, inputs = make_model(ModelConfig(name), MEDIAPIPE), make_inputs(MEDIAPIPE, 8, 1)
    inputs["hands"][0, 0, 3, 4, 1] = np.nan
    assert np.isnan(_native(model, inputs).run(inputs)).all()


CAUSAL = [
    (ModelConfig(ModelName.PR_GCN, window=10), MEDIAPIPE),
    (ModelConfig(ModelName.PR_GCN, window=10), TWO_PERSONS),
    (ModelConfig(ModelName.PR_GCN, prm=False, tam=False, window=10), KINECT),
    (ModelConfig(ModelName.BHARNET_E, window=10), MEDIAPIPE),
    (ModelConfig(ModelName.BHARNET_E, window=10, fusion=Fusion.NOISY_OR), MEDIAPIPE),
    (ModelConfig(ModelName.BODY_EXPERT, window=10), TWO_PERSONS),
    (ModelConfig(ModelName.BHARNET_E_FULL, window=10), MEDIAPIPE),
    (ModelConfig(ModelName.BHARNET_E_FULL, window=10), BOTH_WITH_HANDS),
    (ModelConfig(ModelName.BHARNET_E_FULL, window=10, fusion=Fusion.NOISY_OR), MEDIAPIPE),
    (ModelConfig(ModelName.BHARNET_P, window=10), MEDIAPIPE),
    (ModelConfig(ModelName.BHARNET_P, window=10), BOTH_WITH_HANDS),
]
STREAMS = [
    ModelName.BHARNET_E,
    ModelName.BHARNET_E_FULL,
    ModelName.BHARNET_P,
    ModelName.PR_GCN,
]


def _network(model: ActionModel, inputs: Inputs, isa: str | None = None) -> _ops.Network:
    files = _native(model, inputs).files
    return build_network(files[NATIVE_NETWORK], files[NATIVE_WEIGHTS], "test", isa)


def _frame(inputs: Inputs, t: int) -> list[Array]:
    return [np.ascontiguousarray(array[0, :, t]) for array in inputs.values()]


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
def test_frame_by_frame_the_logits_are_those_of_the_clip_so_far(
    config: ModelConfig, layout: InputSpecs, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """At every frame, beyond the window of the running means too, within 1e-4."""
    model, inputs = make_model(config, layout), make_inputs(layout, 27, 1)
    network, state = _network(model, inputs), _ops.NetworkState()
    assert network.causal
    double = copy.deepcopy(model).double()
    for t in range(27):
        got = network.step(_frame(inputs, t), state)
        so_far = {name: array[:, :, : t + 1] for name, array in inputs.items()}
        expected = _logits(double, so_far)[0]
        assert np.abs(got - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max()), t
    np.testing.assert_array_equal(network.run(list(inputs.values()))[0], got)


@pytest.mark.parametrize("isa", _ops.available_isas())
@pytest.mark.parametrize("name", STREAMS)
def test_every_instruction_set_runs_streams(
    isa: str, name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    model, inputs = (
        make_model(ModelConfig(name, window=6), MEDIAPIPE),
        make_inputs(MEDIAPIPE, 11, 1),
    )
    got = _network(model, inputs, isa).run(list(inputs.values()))
    expected = _exact(model, inputs)
    assert np.abs(got - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", STREAMS)
def test_streams_interleaved_give_the_bits_of_streams_alone(
    name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Eight streams on one network, also in threads; after a reset a state is as new."""
    model, inputs = (
        make_model(ModelConfig(name, window=6), MEDIAPIPE),
        make_inputs(MEDIAPIPE, 13, 8),
    )
    network = _network(model, inputs)
    clips = [{n: a[i : i + 1] for n, a in inputs.items()} for i in range(8)]
    states = [_ops.NetworkState() for _ in clips]
    for t in range(13):
        together = [network.step(_frame(c, t), s) for c, s in zip(clips, states, strict=True)]

    def alone(clip: Inputs) -> Array:
        state = _ops.NetworkState()
        for attempt in range(2):
            for t in range(13 if attempt else 5):
                logits = network.step(_frame(clip, t), state)
            if attempt == 0:
                state.reset()
        return logits

    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(alone, clips)), together)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_small_and_says_what_it_sees(
    name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Under 2 MB; what would take more (cross-attention, pooled attention) is kept packed."""
    model = make_model(ModelConfig(name, window=24), WIDE)
    network = _network(model, make_inputs(WIDE, 24, 1))
    assert network.state_bytes < 2_000_000
    assert 24 < network.receptive_field < 200


@pytest.mark.parametrize("name", [ModelName.BHARNET_E_FULL, ModelName.BHARNET_P])
def test_a_packed_stream_says_what_a_clip_does_beyond_a_long_window_too(
    name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Running means are rounded at every frame, and still within 1e-4 when 90 have gone by."""
    model, inputs = make_model(ModelConfig(name, window=64), MEDIAPIPE), make_inputs(MEDIAPIPE, 90)
    clip = {name: array[:1] for name, array in inputs.items()}
    network, state = _network(model, clip), _ops.NetworkState()
    for t in range(90):
        got = network.step(_frame(clip, t), state)
    expected = _exact(model, clip)[0]
    assert np.abs(got - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", STREAMS)
def test_a_frame_that_is_no_number_is_not_hidden_until_the_reset(
    name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Nor made a number by what packs a state; after the reset the stream is a new one."""
    model, inputs = make_model(ModelConfig(name, window=6), MEDIAPIPE), make_inputs(MEDIAPIPE, 9, 1)
    network, state = _network(model, inputs), _ops.NetworkState()
    first = [network.step(_frame(inputs, t), state) for t in range(9)][-1]
    network.step([np.full_like(part, np.nan) for part in _frame(inputs, 0)], state)
    for t in range(9):
        said = network.step(_frame(inputs, t), state)
    assert np.isnan(said).all()
    state.reset()
    again = [network.step(_frame(inputs, t), state) for t in range(9)][-1]
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("window", [None, 6])
def test_the_time_of_a_run_is_known_layer_by_layer(
    window: int | None, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    model = make_model(ModelConfig(ModelName.BHARNET_E, window=window), MEDIAPIPE)
    times = _network(model, make_inputs(MEDIAPIPE, 8, 1)).profile(4)
    assert {kind for kind, _ in times} == {"input", "conv", "aggregate", "pool", "classify"}
    assert all(seconds >= 0 for _, seconds in times)
    assert sum(seconds for _, seconds in times) > 0


@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        (ModelName.BHARNET_E_FULL, {"classify", "normalize", "attention", "gelu"}),
        (ModelName.BHARNET_P, {"pooled attention"}),
    ],
)
def test_streams_that_look_at_each_other_have_layers_for_it(
    name: ModelName,
    more: set[str],
    window: int | None,
    make_model: MakeModel,
    make_inputs: MakeInputs,
) -> None:
    model = make_model(ModelConfig(name, window=window), MEDIAPIPE)
    network = _network(model, make_inputs(MEDIAPIPE, 8, 1))
    kinds = {kind for kind, _ in network.profile(2)}
    assert kinds == {"input", "conv", "aggregate", "pool"} | more
    assert network.causal == (window is not None)


def test_a_stream_refuses_what_is_no_frame(make_model: MakeModel, make_inputs: MakeInputs) -> None:
    model, inputs = (
        make_model(ModelConfig(ModelName.PR_GCN, window=6), MEDIAPIPE),
        make_inputs(MEDIAPIPE, 4),
    )
    network = _network(model, inputs)
    with pytest.raises(ValueError, match=r"expected .4, 25, 1."):
        network.step(list(inputs.values()), _ops.NetworkState())
    with pytest.raises(ValueError, match="expected 2"):
        network.step(_frame(inputs, 0)[:1], _ops.NetworkState())


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (ModelConfig(ModelName.BHARNET_E, backbone=BackboneName.ST_GCN), "STGCN"),
        (ModelConfig(ModelName.BHARNET_E_FULL, backbone=BackboneName.ST_GCN), "STGCN"),
        (ModelConfig(ModelName.BHARNET_P, backbone=BackboneName.ST_GCN), "STGCN"),
    ],
)
def test_a_model_without_a_native_form_is_refused_by_name(
    config: ModelConfig, named: str, make_inputs: MakeInputs
) -> None:
    model = build_model(config, MEDIAPIPE, CLASSES).eval()
    with pytest.raises(UsageError, match=f"{named}, expected .*--target onnx"):
        _native(model, make_inputs(MEDIAPIPE, 8))


def test_a_native_bundle_proves_itself_and_runs_by_default(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.bhar"
    arguments = [str(checkpoint), "--target", "native", "--eval", str(WORDS)]
    assert main([*arguments, "--output", str(output)]) == 0
    assert "native-fp32" in capsys.readouterr().out
    bundle = load_bundle(output)
    forms = bundle.report["forms"]
    assert list(forms) == ["onnx-fp32", "native-fp32"]
    assert forms["native-fp32"]["difference"]["largest"] <= 1e-4
    assert forms["native-fp32"]["accuracy"] == forms["onnx-fp32"]["accuracy"]
    assert "native: bharsdk's own kernels" in bundle.model_card
    assert open_engine(bundle).name == f"native fp32, {_ops.active_isa()}"
    for backend in (Backend.NATIVE, Backend.ONNX):
        assert verify_bundle(bundle, backend).max_abs_difference <= 1e-3


def test_a_causal_bundle_runs_as_clips_and_as_streams(
    causal_checkpoint: Path, tmp_path: Path
) -> None:
    """Real clips, frame by frame through the public interface: the logits of the ONNX graph."""
    output = tmp_path / "model.bhar"
    arguments = [str(causal_checkpoint), "--target", "native", "--eval", str(WORDS)]
    assert main([*arguments, "--output", str(output)]) == 0
    bundle = load_bundle(output)
    engine, graph = NativeEngine(bundle), open_engine(bundle, Backend.ONNX)
    assert engine.name == f"native fp32, causal, {_ops.active_isa()}"
    assert (engine.delay_frames, engine.warmup_frames) == (0, bundle.manifest.features.frames)
    clips = features_of(load_clips(WORDS), bundle.manifest.features)
    body, hands = clips["body"].numpy()[:3], clips["hands"].numpy()[:3]
    expected = graph.run({"body": body, "hands": hands})
    np.testing.assert_allclose(engine.run({"body": body, "hands": hands}), expected, atol=1e-4)
    stream = engine.stream()
    for i in range(3):
        stream.reset()
        for t in range(body.shape[2]):
            frame = {"body": body[i, :, t].copy(), "hands": hands[i, :, t].copy()}
            logits = stream.step(frame)
        assert stream.frames == body.shape[2]
        np.testing.assert_allclose(logits, expected[i], atol=1e-4)
    with pytest.raises(InputError, match=r"stream: got inputs .'body.., hands is missing"):
        stream.step({"body": frame["body"]})
    with pytest.raises(InputError, match="stream: got input 1 of dtype float64"):
        stream.step({**frame, "hands": frame["hands"].astype(np.float64)})


def test_a_model_of_whole_clips_has_no_streams(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.bhar"
    assert main([str(checkpoint), "--target", "native", "--output", str(output)]) == 0
    with pytest.raises(UsageError, match="--causal"):
        NativeEngine(load_bundle(output)).stream()


def _quantized(model: ActionModel, inputs: Inputs) -> ExportedModel:
    shapes = {name: array.shape[1:] for name, array in inputs.items()}
    return native.NativeQuantizer(deploy(model), shapes, CLASSES, [inputs]).build(
        RangeMethod.MIN_MAX
    )


@pytest.mark.parametrize(
    ("config", "layout"),
    [
        (ModelConfig(ModelName.BHARNET_E), MEDIAPIPE),
        (ModelConfig(ModelName.BHARNET_E_FULL), MEDIAPIPE),
        (ModelConfig(ModelName.BODY_EXPERT), KINECT),
        (ModelConfig(ModelName.PR_GCN), MEDIAPIPE),
        (ModelConfig(ModelName.PR_GCN), TWO_PERSONS),
        (ModelConfig(ModelName.BHARNET_E, window=10), MEDIAPIPE),
        (ModelConfig(ModelName.PR_GCN, window=10), MEDIAPIPE),
        (ModelConfig(ModelName.BHARNET_E_FULL, window=10), MEDIAPIPE),
    ],
    ids=str,
)
def test_integers_are_near_the_floats_and_less_than_half_their_size(
    config: ModelConfig, layout: InputSpecs, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Of random weights; what trained ones lose is counted by the gate of every export.

    In floats DeGCN has fewer taps.
    """
    model, inputs = make_model(config, layout), make_inputs(layout, 24, 8)
    floats, integers = _native(model, inputs), _quantized(model, inputs)
    expected, got = floats.run(inputs), integers.run(inputs)
    assert np.abs(got - expected).max() <= 0.2 * np.abs(expected).max()
    assert integers.size <= 0.45 * floats.size


@pytest.mark.parametrize("isa", _ops.available_isas())
@pytest.mark.parametrize("name", [ModelName.PR_GCN, ModelName.BHARNET_E_FULL, ModelName.BHARNET_P])
def test_streams_in_integers_give_the_clip_on_every_instruction_set(
    isa: str, name: ModelName, make_model: MakeModel, make_inputs: MakeInputs
) -> None:
    """Frame by frame, two streams in turns: the bits of each clip alone."""
    inputs = make_inputs(MEDIAPIPE, 13, 2)
    files = _quantized(make_model(ModelConfig(name, window=10), MEDIAPIPE), inputs).files
    arguments = files[NATIVE_NETWORK], files[NATIVE_WEIGHTS], "test", isa
    network = build_network(*arguments, integers=files[NATIVE_INTEGERS])
    expected = network.run(list(inputs.values()))
    states = _ops.NetworkState(), _ops.NetworkState()
    for t in range(13):
        got = [
            network.step([np.ascontiguousarray(a[i, :, t]) for a in inputs.values()], states[i])
            for i in range(2)
        ]
    np.testing.assert_array_equal(np.stack(got), expected)


def test_a_quantized_native_bundle_proves_itself_and_runs_by_default(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each backend gives its own golden logits, and the gate counts what each form loses."""
    output = tmp_path / "model.bhar"
    data = ["--int8", "--calib", str(WORDS), "--eval", str(WORDS)]
    arguments = [str(checkpoint), "--target", "native", *data, "--max-drop", "100"]
    assert main([*arguments, "--output", str(output)]) == 0
    assert "native-int8" in capsys.readouterr().out
    bundle = load_bundle(output)
    forms = ["onnx-fp32", "onnx-int8", "native-fp32", "native-int8"]
    assert list(bundle.report["forms"]) == forms
    assert {NATIVE_INTEGERS, NATIVE_LOGITS, "model.int8.onnx"} <= set(bundle.files)
    assert "model.onnx" not in bundle.files
    assert open_engine(bundle).name.startswith("native int8, ")
    for backend in (Backend.NATIVE, Backend.ONNX):
        verify_bundle(bundle, backend)


def test_what_noise_calibrates_loses_accuracy_that_the_gate_counts(checkpoint: Path) -> None:
    """Ranges that fit nobody."""
    meta = load_checkpoint(checkpoint)
    words = load_features(DataSpec(WORDS), meta.meta)
    shapes = {name: array.shape[1:] for name, array in words.inputs.items()}
    random = np.random.default_rng(0)
    noise = {n: 1e3 * random.standard_normal((4, *s), np.float32) for n, s in shapes.items()}
    model = deploy(meta.model), shapes, len(meta.meta.labels)
    exported = native.NativeQuantizer(*model, [noise]).build(RangeMethod.MIN_MAX)
    floats = native.build(*model)
    found = [(run_exported(a, words).argmax(1) == words.truth).mean() for a in (floats, exported)]
    assert found[1] < found[0] - 0.01
