"""Rows of whole models: the native engine against the runtimes that people use."""

from __future__ import annotations

import copy
import functools
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import litert
import numpy as np
import numpy.typing as npt
import onnx
import torch
from measure import Compute, Row

from bhar_export.graph.graph import OPSET, of_parameters
from bhar_export.litert import target as tflite
from bhar_export.litert.quantize import FlatbufferQuantizer
from bhar_export.native import target as native
from bhar_export.onnx.quantize import quantize
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.ranges import RangeMethod
from bhar_training.console.quiet import quiet
from bhar_training.models import ModelConfig, ModelName, build_model
from bhar_training.models.action_model import ActionModel, InputSpec, InputSpecs
from bhar_training.models.degcn_reference import plain_form
from bhar_training.models.single_branch import SingleBranch
from bharsdk import _ops
from bharsdk.engines.native import network_of
from bharsdk.engines.onnx_session import single_thread_session
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21, NTU25

__all__ = ["BHARNET", "JOINED", "STEPS", "Case", "model_rows"]

Array = npt.NDArray[np.float32]
Inputs = dict[str, Array]

CLASSES, CHANNELS = 120, 3
TWO_PERSONS = {"body": InputSpec("body", NTU25, 2, CHANNELS, CHANNELS, 64)}
BODY_AND_HANDS = {
    "body": InputSpec("body", MEDIAPIPE_BODY25, 1, CHANNELS, CHANNELS, 64),
    "hands": InputSpec("hands", MEDIAPIPE_HAND21, 2, CHANNELS, CHANNELS, 64),
}
STEPS = 48
"""Frames of a stream that are timed in one go: whole cycles of all strides and periods."""


def model_rows(parts: Sequence[str]) -> Iterator[Row]:
    """Those whose name has one of ``parts`` in it: clips in float32, then frames of a stream."""
    degcn = Case("DeGCN", "25 joints, 2 persons", ModelName.BODY_EXPERT, TWO_PERSONS, 64)
    prgcn = Case("PR-GCN", "25 joints, 2 persons", ModelName.PR_GCN, TWO_PERSONS, 60)
    rows: dict[str, Callable[[str], Row]] = {
        "degcn-clip-f32-exported": degcn.as_exported,
        "degcn-clip-f32-rewritten": degcn.clip,
        "prgcn-clip-f32": prgcn.clip,
        "bharnet-clip-f32": BHARNET.clip,
        "bharnet-clip-int8": BHARNET.clip_in_integers,
        "bharnet-e-full-clip-f32": ALL_BRANCHES.clip,
        "bharnet-p-clip-f32": POOLED.clip,
        "bharnet-step-vs-own-clip": BHARNET.step_against_own,
        "bharnet-step-vs-peer-clip": BHARNET.step_against_peers,
        "bharnet-e-full-step-vs-own-clip": ALL_BRANCHES.step_against_own,
        "bharnet-p-step-vs-own-clip": POOLED.step_against_own,
        "prgcn-step-vs-own-clip": JOINED.step_against_own,
        "prgcn-step-vs-peer-clip": JOINED.step_against_peers,
        "step-vs-costgcn": functools.partial(prgcn.step_against_costgcn, strides=True),
        "step-vs-costgcn-star": functools.partial(prgcn.step_against_costgcn, strides=False),
    }
    wanted = [name for name in rows if any(part in name for part in parts)]
    if not _is_installed("continual"):
        wanted = _without(wanted, "costgcn", "continual-inference")
    if wanted and not litert.installed():
        print("LiteRT is not timed: its converters are missing: pip install 'bharsdk[bench]'")
    for name in wanted:
        yield rows[name](name)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _without(names: Sequence[str], part: str, package: str) -> list[str]:
    """The others, and a line that says why."""
    missing = [name for name in names if part in name]
    if missing:
        print(f"left out: {', '.join(missing)}: {package} is missing: pip install 'bharsdk[bench]'")
    return [name for name in names if name not in missing]


def _model(config: ModelConfig, layout: InputSpecs) -> ActionModel:
    """Untrained, but with the statistics of its features, so that these keep their size."""
    torch.manual_seed(0)
    model = build_model(config, layout, CLASSES)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        inputs = _inputs(layout, 64, 4)
        model.train()({name: torch.from_numpy(array) for name, array in inputs.items()})
    return model.eval()


def _inputs(layout: InputSpecs, frames: int, clips: int = 1) -> Inputs:
    random = np.random.default_rng(0)
    return {
        name: random.standard_normal((clips, *replace(spec, frames=frames).shape), np.float32)
        for name, spec in layout.items()
    }


def _native(model: ActionModel, inputs: Inputs) -> _ops.Network:
    shapes = {name: array.shape[1:] for name, array in inputs.items()}
    return network_of(native.build(model.deploy(), shapes, CLASSES).files)


def _graph(model: torch.nn.Module, inputs: Inputs) -> onnx.ModelProto:
    # A batch of two: a one would be taken for a constant.
    examples = {name: torch.from_numpy(x).repeat(2, 1, 1, 1, 1) for name, x in inputs.items()}
    batch = torch.export.Dim("batch", min=1, max=4096)
    with quiet():
        program = torch.onnx.export(
            of_parameters(model.eval(), list(inputs)),
            tuple(examples.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes={name: {0: batch} for name in inputs},
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _onnxruntime(graph: onnx.ModelProto, inputs: Inputs) -> Compute:
    session = single_thread_session(graph.SerializeToString())

    def compute() -> Array:
        logits: Array = session.run(["logits"], inputs)[0]
        return logits

    return compute


def _openvino(graph: onnx.ModelProto, inputs: Inputs) -> Compute:
    import openvino

    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        onnx.save(graph, path)
        settings = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        model = core.read_model(path)
        model.reshape({name: list(array.shape) for name, array in inputs.items()})
        request = core.compile_model(model, "CPU", settings).create_infer_request()

    def compute() -> Array:
        logits: Array = request.infer(inputs)["logits"]
        return logits

    return compute


def _of_torch(call: Callable[[], torch.Tensor]) -> Compute:
    def compute() -> Array:
        result: Array = call().numpy()
        return result

    return compute


def _peers(graph: onnx.ModelProto, inputs: Inputs, kind: str) -> dict[str, Compute]:
    """Every runtime that is installed, on the same graph."""
    peers = {f"ONNX Runtime{kind}": _onnxruntime(graph, inputs)}
    if _is_installed("openvino"):
        peers[f"OpenVINO{kind}"] = _openvino(graph, inputs)
    return peers


@functools.cache  # a minute's work, for several rows
def _litert(case: Case) -> dict[str, Compute]:
    """The same model in LiteRT, where that and its converters are installed."""
    if not litert.installed():
        return {}
    inputs, peers = case._inputs(), dict[str, Compute]()
    try:
        shapes = {name: array.shape[1:] for name, array in inputs.items()}
        in_float = tflite.convert(case._model().deploy(), shapes)
        peers["float32"] = litert.run_by(in_float, inputs)
        clips = _inputs(case.layout, case.frames, 8)
        one_by_one = ({n: x[i : i + 1] for n, x in clips.items()} for i in range(8))
        integers = FlatbufferQuantizer(in_float, one_by_one).quantized()
        peers["INT8"] = litert.run_by(integers, inputs)
    except Exception as error:  # of a foreign compiler, or of what it made: any
        kind, reason = ", INT8," if peers else "", "".join(str(error).splitlines()[:1])
        print(f"LiteRT{kind} is left out of {case.name}: {type(error).__name__}: {reason}")
    return peers


@dataclass(frozen=True, eq=False)
class Case:
    """A model and the clip that it sees."""

    name: str
    sees: str
    model: ModelName
    layout: InputSpecs
    frames: int

    def as_exported(self, name: str) -> Row:
        """Against what torch exports of the public form: einsums, gathers, BatchNorm."""
        inputs, model = self._inputs(), self._model()
        assert isinstance(model, SingleBranch)
        ours = _native(model, inputs)
        public = SingleBranch(plain_form(copy.deepcopy(model.net)), "body")
        peers = {"ONNX Runtime": _onnxruntime(_graph(public, inputs), inputs)}
        return self._row(name, ours, inputs, peers)

    def clip(self, name: str) -> Row:
        """Against the graph that this project exports."""
        inputs, model = self._inputs(), self._model()
        peers = _peers(_graph(model.deploy(), inputs), inputs, "")
        if "float32" in (lite := _litert(self)):
            peers["LiteRT"] = lite["float32"]
        return self._row(name, _native(model, inputs), inputs, peers)

    def clip_in_integers(self, name: str) -> Row:
        """Both in integers: each as its own exporter quantizes it, on the same clips."""
        inputs, model = self._inputs(), self._model()
        some = self._calibration()
        shapes = {key: array.shape[1:] for key, array in inputs.items()}
        clips = some.batches(tuple(shapes))
        quantizer = native.NativeQuantizer(model.deploy(), shapes, CLASSES, clips)
        ours = network_of(quantizer.build(RangeMethod.MIN_MAX).files)
        graph = _graph(self._model().deploy(), inputs)
        with quiet():
            peers = _peers(quantize(graph, some), inputs, ", INT8")
        if "INT8" in (lite := _litert(self)):
            peers["LiteRT, INT8"] = lite["INT8"]
        # Of bytes chosen in two ways the logits are near, not equal.
        return replace(self._row(name, ours, inputs, peers), tolerance=None)

    def _calibration(self) -> LabeledFeatures:
        some = _inputs(self.layout, self.frames, 8)
        return LabeledFeatures("", some, np.zeros(8, np.int64), ())

    def step_against_own(self, name: str) -> Row:
        """One new frame, against our own clip of frames computed anew, in the same precision."""
        return self._step(name, {"native clip": self.own_clip()})

    def step_against_peers(self, name: str) -> Row:
        """One new frame, against the clip computed anew, in float32 and INT8."""
        inputs = self._inputs()
        graph = _graph(self._model().deploy(), inputs)
        peers = _peers(graph, inputs, ", float32")
        with quiet():
            integers = quantize(graph, self._calibration())
        peers |= _peers(integers, inputs, ", INT8")
        peers |= {f"LiteRT, {kind}": compute for kind, compute in _litert(self).items()}
        return self._step(name, peers)

    def step_against_costgcn(self, name: str, *, strides: bool) -> Row:
        """One new frame, against one of another model whose step is known for its speed."""
        import costgcn

        body, persons = self.layout.body, self.layout.persons
        stream = torch.from_numpy(_inputs(self.layout, STEPS)["body"][0])
        frames = [frame.contiguous() for frame in stream.permute(1, 3, 0, 2)]  # each [M, C, V]
        net = costgcn.costgcn(body, CLASSES, self.frames, strides=strides)
        peer = "CoST-GCN" if strides else "CoST-GCN*"
        peers: dict[str, Compute] = {
            peer: _of_torch(costgcn.steps(net, frames)),
            f"{peer}, torch.jit": _of_torch(costgcn.traced_steps(net, frames)),
        }
        row = self._step(name, peers)
        count = costgcn.multiply_adds(body.joint_count, persons, strides=strides)
        work = f"{row.work}; {row.multiply_adds / 1e6:.1f} against {count / 1e6:.1f} MMAC"
        return replace(row, work=work, peer_units=STEPS)

    def _inputs(self) -> Inputs:
        return _inputs(self.layout, self.frames)

    def _model(self) -> ActionModel:
        return _model(ModelConfig(self.model), self.layout)

    def _row(
        self, name: str, ours: _ops.Network, inputs: Inputs, peers: Mapping[str, Compute]
    ) -> Row:
        arrays = list(inputs.values())
        count = round(ours.multiply_adds)
        return Row(name, self._work, count, lambda: ours.run(arrays), peers, tolerance=1e-3)

    def of(self, frames: int) -> Case:
        """The same with a window of ``frames``."""
        return replace(self, frames=frames)

    def own_clip(self) -> Compute:
        """The native engine on a clip."""
        own, arrays = _native(self._model(), self._inputs()), list(self._inputs().values())
        return lambda: own.run(arrays)

    def stream_network(self) -> _ops.Network:
        """The causal form."""
        config = ModelConfig(self.model, window=self.frames)
        return _native(_model(config, self.layout), self._inputs())

    def steps(self, network: _ops.Network | None = None) -> Compute:
        """STEPS more frames of a stream."""
        network = network or self.stream_network()
        state, stream = _ops.NetworkState(), _inputs(self.layout, STEPS)
        new = [[np.ascontiguousarray(a[0, :, t]) for a in stream.values()] for t in range(STEPS)]

        def compute() -> Array:
            for frame in new:
                logits = network.step(frame, state)
            return logits[None]

        return compute

    @property
    def _work(self) -> str:
        return f"{self.name}, {self.frames} frames, {self.sees}"

    def _step(self, name: str, peers: Mapping[str, Compute]) -> Row:
        network = self.stream_network()
        work, count = f"a new frame; {self._work}", round(network.multiply_adds)
        # Another result: a stream does not look ahead.
        steps = self.steps(network)
        return Row(name, work, count, steps, peers, tolerance=None, units=STEPS)


BHARNET = Case("BHaRNet-E", "body and hands", ModelName.BHARNET_E, BODY_AND_HANDS, 64)
ALL_BRANCHES = Case(
    "BHaRNet-E, four branches", "body and hands", ModelName.BHARNET_E_FULL, BODY_AND_HANDS, 64
)
POOLED = Case("BHaRNet-P", "body and hands", ModelName.BHARNET_P, BODY_AND_HANDS, 64)
JOINED = Case("PR-GCN", "body and hands", ModelName.PR_GCN, BODY_AND_HANDS, 60)
