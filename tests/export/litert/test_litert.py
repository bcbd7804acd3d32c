"""Promises of the target ``tflite``: what LiteRT runs is the model, whatever its layers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bhar_export.graph.graph import deploy
from bhar_export.graph.spec import DataSpec
from bhar_export.litert import quantize as litert_quantize
from bhar_export.litert import target as tflite
from bhar_export.quantization.calibration_clips import load_features
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.quantization.verify import run_exported
from bhar_training.checkpoint import load_checkpoint
from bhar_training.data.batches import input_specs
from bhar_training.models import ModelConfig, ModelName, build_model
from bharsdk.bundle.bundle import REPORT, TFLITE_LOGITS, TFLITE_MODEL, load_bundle, make_bundle
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.engines.engine import Backend, open_engine
from bharsdk.engines.golden_check import read_golden, verify_bundle
from bharsdk.engines.selection import choose_engine
from bharsdk.engines.tflite import TfliteModel
from bharsdk.errors import BackendMissingError, BundleError, ParityError

WORDS = Path(__file__).parents[2] / "data" / "words.npz"
CLASSES, FRAMES = 5, 14
SPECS = input_specs(FeatureConfig(frames=FRAMES, modalities=(Modality.JOINT,)))
SHAPES = {name: spec.shape for name, spec in SPECS.items()}


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(ModelName.PR_GCN),
        pytest.param(ModelConfig(ModelName.BHARNET_E), marks=pytest.mark.long),
        pytest.param(ModelConfig(ModelName.BHARNET_E, window=FRAMES), marks=pytest.mark.long),
    ],
    ids=["pr-gcn", "bharnet-e", "bharnet-e, causal"],
)
def test_logits_are_those_of_torch(config: ModelConfig) -> None:
    """Of a model whose normalizations and topologies are no identities."""
    torch.manual_seed(3)
    model = build_model(config, SPECS, CLASSES).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                parameter.fill_(0.5)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.momentum = 1.0  # normalized by these very clips
        random = torch.Generator().manual_seed(0)
        clips = {name: torch.randn(6, *s, generator=random) for name, s in SHAPES.items()}
        model(clips)  # sets the running means
        model.eval()
        expected = model(clips).numpy()
    found = TfliteModel(tflite.convert(deploy(model), SHAPES), "model")
    assert found.inputs == SHAPES and list(found.outputs.values()) == [(CLASSES,)]
    got = found.run({name: clip.numpy() for name, clip in clips.items()})
    assert np.abs(got - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


def test_a_bundle_holds_the_model_with_golden_logits_of_its_own(every_target: Path) -> None:
    made = load_bundle(every_target)
    assert {TFLITE_MODEL, TFLITE_LOGITS} <= set(made.files)
    forms = made.report["forms"]
    assert forms["tflite-fp32"]["difference"]["largest"] <= 1e-4
    assert forms["tflite-int8"]["drop_points"] <= 10
    assert forms["tflite-int8"]["size_bytes"] < 0.5 * forms["tflite-fp32"]["size_bytes"]
    assert open_engine(made, Backend.TFLITE).name.startswith("litert ")
    assert verify_bundle(made, Backend.TFLITE).max_abs_difference == 0


def test_a_model_that_says_nothing_twice_computes_the_same_bits(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_checkpoint(checkpoint)
    clips = load_features(DataSpec(WORDS), trained.meta).evenly(4)
    shapes = {name: array.shape[1:] for name, array in clips.inputs.items()}
    quantizer = tflite.TfliteQuantizer(tflite.build(deploy(trained.model), shapes), clips)
    small = quantizer.build(RangeMethod.MIN_MAX)
    monkeypatch.setattr(litert_quantize, "small_form", lambda flatbuffer: flatbuffer)
    whole = quantizer.build(RangeMethod.MIN_MAX)
    assert small.size < 0.9 * whole.size
    np.testing.assert_array_equal(run_exported(small, clips), run_exported(whole, clips))


def test_damage_behind_the_hashes_is_an_error_of_its_own(every_target: Path) -> None:
    """A model that LiteRT refuses, and one that is none."""
    model = load_bundle(every_target).files[TFLITE_MODEL]
    for damaged in (b"", b"TFL3" * 100, model[: len(model) // 2]):
        with pytest.raises(BundleError, match="does not load"):
            TfliteModel(damaged, "model.tflite")


def test_a_bundle_without_the_model_says_how_to_get_one(int8_bundle: Path) -> None:
    with pytest.raises(BackendMissingError, match="--target tflite"):
        open_engine(load_bundle(int8_bundle), Backend.TFLITE)


def test_rows_that_are_not_contiguous_are_read_as_they_are(every_target: Path) -> None:
    engine = open_engine(load_bundle(every_target), Backend.TFLITE)
    shapes = load_bundle(every_target).manifest.input_shapes
    random = np.random.default_rng(0)
    inputs = {n: random.standard_normal((2, *s), dtype=np.float32) for n, s in shapes.items()}
    turned = {n: np.asfortranarray(x) for n, x in inputs.items()}
    np.testing.assert_array_equal(engine.run(inputs), engine.run(turned))


def test_coordinates_stay_float_and_all_else_multiplies_bytes(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the names that the converter gives to modules, which another release might change."""
    monkeypatch.setattr(litert_quantize, "small_form", lambda flatbuffer: flatbuffer)
    trained = load_checkpoint(checkpoint)
    clips = load_features(DataSpec(WORDS), trained.meta).evenly(4)
    shapes = {name: array.shape[1:] for name, array in clips.inputs.items()}
    quantizer = tflite.TfliteQuantizer(tflite.build(deploy(trained.model), shapes), clips)
    form = quantizer.build(RangeMethod.MIN_MAX)
    model = TfliteModel(form.files[TFLITE_MODEL], "model.tflite")
    assert model.integer
    tensors = {t["index"]: t for t in model._interpreter.get_tensor_details()}

    def read(operators: set[str], made_by: str) -> list[set[type]]:
        """What each of ``operators`` reads whose results a module has made."""
        return [
            {tensors[i]["dtype"] for i in operator["inputs"] if i >= 0} - {np.int32}
            for operator in model._interpreter._get_ops_details()
            if operator["op_name"] in operators
            and any(made_by in tensors[i]["name"] for i in operator["outputs"])
        ]

    computing = {"CONV_2D", "FULLY_CONNECTED", "MUL", "ADD"}
    for name in ("input_norm", "PoseRefinement_refine", "enter_position", "enter_motion"):
        found = read(computing, name)
        assert found and all(kinds == {np.float32} for kinds in found), name
    differences = read({"SLICE", "SUB"}, "PRGCN_net;")
    assert len(differences) >= 3 and all(kinds == {np.float32} for kinds in differences)
    assert {np.int8} in read({"FULLY_CONNECTED"}, "GraphConv_4")
    assert form.nodes is not None
    counted = form.nodes()
    assert counted.integer == len(quantizer.layers) > 30
    assert any("enter_position" in name for name in counted.float_compute)


class SilentlyWrong:
    """A runner that answers at once, without an error, and with numbers that mean nothing."""

    def __init__(self, real: Callable[..., dict[str, np.ndarray]]) -> None:
        self._real = real

    def __call__(self, **fed: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.zeros_like(result) for name, result in self._real(**fed).items()}


def test_a_predecessor_that_is_silently_wrong_is_refused_with_the_way_out(
    every_target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, it is exit code 7; AUTO does without it, unless everything is required."""
    made = load_bundle(every_target)
    # Without a report, by which AUTO might leave it aside unasked.
    files = {name: data for name, data in made.files.items() if name != REPORT}
    made = make_bundle("no report", made.manifest, files)
    real = TfliteModel.__init__

    def spoilt(self: TfliteModel, model: bytes, where: str) -> None:
        real(self, model, where)
        self.runtime, self._runner = "tflite-runtime", SilentlyWrong(self._runner)

    monkeypatch.setattr(TfliteModel, "__init__", spoilt)
    outcome = r"tflite-runtime int8 is off .* pip install ai-edge-litert"
    with pytest.raises(ParityError, match=outcome):
        choose_engine(made, Backend.TFLITE)
    assert not choose_engine(made).engine.name.startswith("tflite")
    with pytest.raises(ParityError, match=outcome):
        choose_engine(made, require=True)


def test_tflite_runtime_computes_what_litert_does_or_is_refused(
    every_target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real one: what passes the golden clips decides other clips as LiteRT does."""
    reason = "needs tflite-runtime, whose last release is for Python up to 3.11"
    pytest.importorskip("tflite_runtime.interpreter", reason=reason, exc_type=ImportError)
    made = load_bundle(every_target)
    golden = read_golden(made, TFLITE_LOGITS)
    turned = {name: np.flip(clips, -2).copy() for name, clips in golden.inputs.items()}
    expected = open_engine(made, Backend.TFLITE).run(turned)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    engine = open_engine(made, Backend.TFLITE)
    assert engine.name == "tflite-runtime int8"
    off = np.abs(engine.run(golden.inputs) - golden.logits).max()
    if off > made.manifest.golden_tolerance:
        with pytest.raises(ParityError, match=r"tflite-runtime int8 is off .* ai-edge-litert"):
            choose_engine(made, Backend.TFLITE)
        return
    assert choose_engine(made, Backend.TFLITE).engine.name == engine.name
    assert np.abs(engine.run(turned) - expected).max() <= 0.2 * np.abs(expected).max()
