"""Promises of the target ``jetson``: TensorRT's own parser takes the graph, and it is the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from bhar_export.cli import main
from bhar_export.tensorrt.target import accepted_by_tensorrt
from bharsdk.bundle.bundle import QDQ_LOGITS, QDQ_MODEL, load_bundle
from bharsdk.engines.golden_check import read_golden
from bharsdk.engines.onnx_session import single_thread_session
from bharsdk.errors import UsageError

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this machine")


def test_the_graph_is_one_that_tensorrt_builds(every_target: Path) -> None:
    """For a GPU of Orin's generation and for a Blackwell, with none here."""
    bundle = load_bundle(every_target)
    sizes = accepted_by_tensorrt(bundle.files[QDQ_MODEL], bundle.manifest.input_shapes)
    assert set(sizes) == {"SM86", "SM120"}
    assert min(sizes.values()) > 10_000


def test_its_bytes_are_signed_and_symmetric(every_target: Path) -> None:
    """As every TensorRT from 10 on takes them; weights are stored as bytes, not as floats."""
    model = onnx.ModelProto.FromString(load_bundle(every_target).files[QDQ_MODEL])
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type == "DequantizeLinear"]
    assert len(nodes) > 20
    stored = load_bundle(every_target).report["forms"]
    assert stored["jetson-int8"]["size_bytes"] < 0.5 * stored["onnx-fp32"]["size_bytes"]
    for node in nodes:
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()
        scale = constants[node.input[1]]
        assert np.isfinite(scale).all() and (scale > 0).all()


def test_golden_logits_are_those_of_the_graph(every_target: Path) -> None:
    """What a device must give again, within the manifest's tolerance."""
    bundle = load_bundle(every_target)
    golden = read_golden(bundle, QDQ_LOGITS)
    session = single_thread_session(bundle.files[QDQ_MODEL])
    (logits,) = session.run(["logits"], dict(golden.inputs))
    assert np.abs(logits - golden.logits).max() <= bundle.manifest.golden_tolerance


def test_the_graph_for_cpus_is_refused(every_target: Path) -> None:
    """Its unsigned, asymmetric bytes: TensorRT says so, and we pass it on."""
    bundle = load_bundle(every_target)
    with pytest.raises(UsageError, match="TensorRT"):
        accepted_by_tensorrt(bundle.model, bundle.manifest.input_shapes)


def test_in_float32_it_says_what_it_needs(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.bhar"
    assert main([str(checkpoint), "--target", "jetson", "--output", str(output)]) == 2
    assert "expected --precision fp16, int8 or mixed" in capsys.readouterr().err
    assert not output.exists()


def test_of_all_targets_one_that_cannot_be_made_is_left_out_by_name(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In float32 there is no graph for TensorRT; the others are there."""
    output = tmp_path / "model.bhar"
    arguments = [str(checkpoint), "--target", "native", "--target", "jetson"]
    assert main([*arguments, "--output", str(output)]) == 0
    assert "not possible: target jetson: got fp32" in capsys.readouterr().out
    forms = load_bundle(output).report["forms"]
    assert forms["jetson-fp32"]["status"] == "not possible"
    assert forms["native-fp32"]["status"] == "ok"
