"""Promises of the choice of a backend: what is wrong is left out, the fastest of the rest runs."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bharsdk import Recognizer
from bharsdk.bundle.bundle import REPORT, Bundle, load_bundle, make_bundle
from bharsdk.cli import main
from bharsdk.engines import selection as choice
from bharsdk.engines.engine import Backend, open_engine
from bharsdk.engines.native import NativeEngine
from bharsdk.engines.onnx import OnnxEngine
from bharsdk.engines.selection import choose_engine
from bharsdk.engines.tensorrt_cache import engine_path
from bharsdk.errors import BackendMissingError, ParityError, UsageError

Inputs = Mapping[str, npt.NDArray[np.float32]]
Logits = npt.NDArray[np.float32]
SHIPPED = Path(choice.__file__).parents[1] / "models"
PRGCN = SHIPPED / "asl-coffee-prgcn.bhar"


@pytest.fixture
def bundle() -> Bundle:
    """The shipped PR-GCN, whose report leaves the choice between two backends open."""
    return load_bundle(PRGCN)


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``spoilt(OnnxEngine, by=3.0, seconds=0.0)``: it computes something else, or takes longer."""

    def spoil(engine: type, by: float = 0.0, seconds: float = 0.0, unless: str = "\n") -> None:
        real = engine.run

        def run(self: OnnxEngine, inputs: Inputs) -> Logits:
            time.sleep(seconds)
            return real(self, inputs) + np.float32(0 if unless in self.name else by)

        monkeypatch.setattr(engine, "run", run)

    return spoil


def kept(cache_home: Path) -> list[Path]:
    return [path for path in (cache_home / "bharsdk").rglob("*") if path.is_file()]


def test_every_shipped_bundle_is_right_on_this_machine() -> None:
    """Whatever onnxruntime is installed, an engine that gives the golden logits is found."""
    for path in SHIPPED.glob("*.bhar"):
        choose_engine(load_bundle(path))


def test_wrong_fusions_are_left_out(bundle: Bundle, spoilt: Callable[..., None]) -> None:
    """When the fused graph is wrong, the graph as written runs, and its name says so."""
    spoilt(OnnxEngine, by=3.0, unless="not fused")
    assert "not fused" in choose_engine(bundle, Backend.ONNX).engine.name
    assert "not fused" not in open_engine(bundle, Backend.ONNX).name
    with pytest.raises(ParityError, match="off the golden logits"):
        choose_engine(bundle, Backend.ONNX, require=True)


def test_wrong_kernels_are_left_out_and_said_so(
    bundle: Bundle, spoilt: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """When the native network is wrong, the graph runs; named or required, it is an error."""
    spoilt(NativeEngine, by=3.0)
    with caplog.at_level(logging.INFO, "bharsdk"):
        assert choose_engine(bundle).engine.name.startswith("onnxruntime int8")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "left out" in caplog.text and "native int8" in caplog.text
    for backend, require in ((Backend.NATIVE, False), (Backend.AUTO, True)):
        with pytest.raises(ParityError, match=r"native int8.* is off the golden logits"):
            choose_engine(bundle, backend, require=require)
    assert main(["run", "none", "--model", str(PRGCN), "--require"]) == 7


def test_a_machine_that_computes_wrongly_is_refused(
    bundle: Bundle, spoilt: Callable[..., None]
) -> None:
    """When no form of the model gives the golden logits, nothing is recognized at all."""
    spoilt(OnnxEngine, by=3.0)
    spoilt(NativeEngine, by=3.0)
    with pytest.raises(ParityError, match="off the golden logits"):
        choose_engine(bundle)


@pytest.mark.parametrize(("slow", "taken"), [(OnnxEngine, "native"), (NativeEngine, "onnxruntime")])
def test_the_fastest_runs_and_is_remembered(
    bundle: Bundle, spoilt: Callable[..., None], cache_home: Path, slow: type, taken: str
) -> None:
    """By measurement at the first start; a later one does not open what was slower."""
    spoilt(slow, seconds=0.05)
    first = choose_engine(bundle)
    assert first.engine.name.startswith(taken)
    assert "one clip: " in first.why and len(kept(cache_home)) == 1
    spoilt(slow, by=np.nan)  # not to be asked any more, so nothing can fail
    again = choose_engine(bundle, require=True)
    assert again.engine.name == first.engine.name
    assert "earlier start" in again.why


def test_a_tie_goes_to_the_native_network() -> None:
    times = {Backend.ONNX: 10.0, Backend.NATIVE: 10.4, Backend.TFLITE: 12.0}
    assert choice._best(times) is Backend.NATIVE
    assert choice._best({**times, Backend.NATIVE: 10.6}) is Backend.ONNX


def test_what_was_remembered_must_prove_itself_again(
    bundle: Bundle, spoilt: Callable[..., None]
) -> None:
    spoilt(OnnxEngine, seconds=0.05)
    choose_engine(bundle)
    spoilt(NativeEngine, by=3.0)
    assert choose_engine(bundle).engine.name.startswith("onnxruntime")


def test_nothing_is_remembered_of_a_machine_on_which_something_was_wrong(
    bundle: Bundle, spoilt: Callable[..., None], cache_home: Path
) -> None:
    """So that each start says it, until it is mended."""
    spoilt(OnnxEngine, by=3.0)
    choose_engine(bundle)
    assert kept(cache_home) == []


def test_a_spoilt_memory_is_measured_anew(
    bundle: Bundle, spoilt: Callable[..., None], cache_home: Path
) -> None:
    """Damaged, foreign or unreadable: never an error, and it is replaced."""
    spoilt(OnnxEngine, seconds=0.02)
    choose_engine(bundle)
    (path,) = kept(cache_home)
    good = json.loads(path.read_text())
    wrong_times: list[dict[str, object]] = [{}, {"onnx": -1e999}, {"auto": 1.0}, {"onnx": "fast"}]
    spoilt_texts = [
        *(b"", b"{", b"[]", b"\xff", b"[" * 50_000, b"x" * (1 << 17)),
        *(
            json.dumps({**good, "measured": wrong}).encode()
            for wrong in ([], None, 4 * good["measured"])
        ),
        *(
            json.dumps({**good, "measured": [{"latency_ms": times, "at_s": 1.0}]}).encode()
            for times in wrong_times
        ),
        json.dumps({**good, "key": {**good["key"], "isa": "another"}}).encode(),
    ]
    for text in spoilt_texts:
        path.write_bytes(text)
        assert "earlier" not in choose_engine(bundle).why, text[:80]
        assert "earlier" in choose_engine(bundle).why
    path.unlink()
    os.mkfifo(path)
    assert "earlier" not in choose_engine(bundle).why


def test_a_folder_that_cannot_be_written_is_done_without(
    bundle: Bundle, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache_home / "bharsdk").write_text("a file where the folder should be")
    for _ in range(2):
        assert "one clip: " in choose_engine(bundle).why
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home / "other"))
    monkeypatch.setenv("BHAR_CACHE", "0")
    choose_engine(bundle)
    assert not (cache_home / "other").exists()


@pytest.mark.parametrize(
    "what",
    [
        "machine.__version__",
        "machine._version",
        "selection_cache.active_isa",
        "selection_cache.processor",
    ],
)
def test_another_version_or_cpu_is_measured_anew(
    bundle: Bundle, cache_home: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    choose_engine(bundle)
    other = "9.9" if "__version__" in what else lambda *_: "another"
    monkeypatch.setattr(f"bharsdk.engines.{what}", other)
    assert "earlier" not in choose_engine(bundle).why
    assert len(kept(cache_home)) == 2


def test_what_the_exporter_found_hopeless_is_not_even_opened(
    bundle: Bundle, spoilt: Callable[..., None], cache_home: Path
) -> None:
    """Unless the rest is wrong: then it runs."""
    report = {"forms": {"native-int8": {"latency_ms": 2}, "onnx-int8": {"latency_ms": 7}}}
    files = {**bundle.files, REPORT: json.dumps(report).encode()}
    clear = make_bundle("clear", bundle.manifest, files)
    spoilt(OnnxEngine, seconds=0.01)
    found = choose_engine(clear)
    assert found.engine.name.startswith("native") and "report" in found.why
    assert kept(cache_home) == []
    spoilt(NativeEngine, by=3.0)
    assert choose_engine(clear).engine.name.startswith("onnxruntime")


@pytest.mark.parametrize("report", [b"", b"[]", b'{"forms": 3}', b'{"forms": {"onnx-int8": {}}}'])
def test_a_report_that_says_nothing_leaves_the_choice_to_measurement(
    bundle: Bundle, report: bytes
) -> None:
    files = {**bundle.files, REPORT: report}
    assert "one clip: " in choose_engine(make_bundle("odd", bundle.manifest, files)).why


def test_an_engine_of_tensorrt_that_runs_no_longer_is_missed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built here once, so leaving it out is a fallback; never built, it is none."""
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    files = {**bundle.files, "model.qdq.onnx": b"a graph"}
    with_graph = make_bundle(str(tmp_path / "a.bhar"), bundle.manifest, files)
    choose_engine(with_graph, require=True)
    engine_path(tmp_path / "a.bhar").write_bytes(b"an engine")
    choose_engine(with_graph)
    with pytest.raises(BackendMissingError, match="TensorRT is not installed"):
        choose_engine(with_graph, require=True)


def test_a_recognizer_runs_what_it_is_told_to_and_says_so() -> None:
    assert Recognizer(PRGCN, backend="onnx").backend == "onnxruntime int8 (as asked)"
    assert Recognizer(PRGCN, backend="native").backend.startswith("native int8")
    with pytest.raises(BackendMissingError, match="--target tflite"):
        Recognizer(PRGCN, backend="tflite")
    with pytest.raises(UsageError, match="got 'gpu', expected one of auto, onnx, native"):
        Recognizer(PRGCN, backend="gpu")
