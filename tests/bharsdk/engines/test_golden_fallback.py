"""A runtime that fuses a quantised graph wrongly is found out and worked around."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bharsdk.bundle import Bundle, load_bundle
from bharsdk.engines import Backend, golden, open_engine
from bharsdk.engines.native import NativeEngine
from bharsdk.engines.onnx import OnnxEngine
from bharsdk.errors import ParityError

Inputs = Mapping[str, npt.NDArray[np.float32]]
SHIPPED = Path(golden.__file__).parents[1] / "models"


@pytest.fixture
def bundle() -> Bundle:
    """The shipped PR-GCN."""
    return load_bundle(SHIPPED / "asl-coffee-prgcn.bhar")


def test_every_shipped_bundle_is_right_on_this_machine() -> None:
    """Whatever onnxruntime is installed, an engine that gives the golden logits is found."""
    for path in SHIPPED.glob("*.bhar"):
        golden.open_proven_engine(load_bundle(path))


def test_wrong_fusions_are_left_out(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the fused graph is wrong, the graph as written runs, and its name says so."""
    real = OnnxEngine.run

    def run(engine: OnnxEngine, inputs: Inputs) -> npt.NDArray[np.float32]:
        return real(engine, inputs) + (0.0 if "not fused" in engine.name else 3.0)

    monkeypatch.setattr(OnnxEngine, "run", run)
    assert "not fused" in golden.open_proven_engine(bundle, Backend.ONNX).name
    assert "not fused" not in open_engine(bundle, Backend.ONNX).name


def test_wrong_kernels_are_left_out(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the native network is wrong, the graph runs; named, the native one is refused."""
    assert golden.open_proven_engine(bundle).name.startswith("native int8")
    real = NativeEngine.run
    monkeypatch.setattr(NativeEngine, "run", lambda engine, inputs: real(engine, inputs) + 3.0)
    assert golden.open_proven_engine(bundle).name.startswith("onnxruntime int8")
    with pytest.raises(ParityError, match=r"native int8.* is off the golden logits"):
        golden.open_proven_engine(bundle, Backend.NATIVE)


def test_a_machine_that_computes_wrongly_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no form of the model gives the golden logits, nothing is recognised at all."""
    graph, native = OnnxEngine.run, NativeEngine.run
    monkeypatch.setattr(OnnxEngine, "run", lambda engine, inputs: graph(engine, inputs) + 3.0)
    monkeypatch.setattr(NativeEngine, "run", lambda engine, inputs: native(engine, inputs) + 3.0)
    with pytest.raises(ParityError, match="off the golden logits"):
        golden.open_proven_engine(bundle)
