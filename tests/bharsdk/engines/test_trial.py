"""Promises of the trial: what crashes, hoards or hangs does so in another process, and is told."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bharsdk.bundle.bundle import TFLITE_MODEL, Bundle, load_bundle, make_bundle
from bharsdk.bundle.shipped import SHIPPED
from bharsdk.engines import machine, trial
from bharsdk.engines import selection as choice
from bharsdk.engines import selection_cache as choice_cache
from bharsdk.engines.engine import Backend, Engine, open_engine
from bharsdk.engines.golden_check import Golden, encode_golden
from bharsdk.engines.native import NativeEngine
from bharsdk.engines.onnx import OnnxEngine
from bharsdk.engines.selection import choose_engine
from bharsdk.engines.trial import try_model
from bharsdk.errors import BackendMissingError, BundleError, ParityError

PRGCN = SHIPPED / "asl-coffee-prgcn.bhar"
KILL = "import os, signal; os.kill(os.getpid(), signal.{})"
ENDS = {
    "crashes the library that runs it .SIGSEGV": KILL.format("SIGSEGV"),
    "crashes the library that runs it .SIGABRT": "import os; os.abort()",
    "takes more than 10 s": KILL.format("SIGXCPU"),
    "is there memory left": KILL.format("SIGKILL"),
}
"""What is told -> a program that ends so."""


@pytest.fixture
def bundle() -> Bundle:
    """The shipped PR-GCN as if it came from somebody else."""
    shipped = load_bundle(PRGCN)
    return make_bundle("theirs", shipped.manifest, shipped.files)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[int]]:
    """``ends(program)``: what a trial runs in place of the model; its starts are counted."""

    def spoil(program: str) -> list[int]:
        starts: list[int] = []
        real = subprocess.run

        def run(command: list[str], **how: object) -> object:
            starts.append(1)
            return real(command, **how)  # type: ignore[call-overload]

        monkeypatch.setattr(trial, "START", program)
        monkeypatch.setattr(trial.subprocess, "run", run)
        monkeypatch.setattr(trial, "_known", {})
        return starts

    return spoil


def test_a_good_model_is_vouched_for_once(
    bundle: Bundle, ends: Callable[[str], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By this process, and by the next one from what is kept."""
    starts = ends(trial.START)
    for _ in range(2):
        assert try_model(bundle, Backend.ONNX)
    monkeypatch.setattr(trial, "_known", {})
    assert try_model(bundle, Backend.ONNX)
    assert len(starts) == 1
    monkeypatch.setattr("bharsdk.engines.machine._version", lambda _: "9.9")
    assert try_model(bundle, Backend.ONNX)
    assert len(starts) == 2


def test_what_ships_and_our_own_network_need_no_trial(
    bundle: Bundle, ends: Callable[[str], list[int]]
) -> None:
    starts = ends("raise SystemExit(1)")
    assert try_model(load_bundle(PRGCN), Backend.ONNX)
    assert not try_model(bundle, Backend.NATIVE)
    assert choose_engine(bundle, Backend.NATIVE).engine.name.startswith("native")
    assert choose_engine(load_bundle(PRGCN), Backend.ONNX).engine.name.startswith("onnx")
    assert starts == []


@pytest.mark.parametrize("told", list(ENDS))
def test_a_model_that_crashes_is_not_loaded_and_the_native_one_runs(
    bundle: Bundle,
    ends: Callable[[str], list[int]],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At every start; what crashed lastingly is not tried again."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("opened here")

    starts = ends(ENDS[told])
    monkeypatch.setattr(OnnxEngine, "__init__", never)
    for _ in range(2):
        with caplog.at_level(logging.WARNING, "bharsdk"):
            choice = choose_engine(bundle)
        assert isinstance(choice.engine, NativeEngine)
        with pytest.raises(BundleError, match=told):
            choose_engine(bundle, Backend.ONNX)
        monkeypatch.setattr(trial, "_known", {})
    assert len([r for r in caplog.records if "left out" in r.message]) == 2
    lasting = told not in ("is there memory left",)
    assert len(starts) == (1 if lasting else 2)


def test_without_a_native_form_a_crash_is_a_bundle_error(
    presence_bundle: Path, ends: Callable[[str], list[int]]
) -> None:
    ends("import os; os.abort()")
    for backend in (Backend.AUTO, Backend.ONNX):
        with pytest.raises(BundleError, match=r"model\.onnx: loading it crashes .*SIGABRT"):
            choose_engine(load_bundle(presence_bundle), backend)


def _children() -> set[str]:
    """Processes that this one started, those that ended and were not waited for too."""
    ids = Path("/proc/self/task").glob("*/children")
    return {number for of_thread in ids for number in of_thread.read_text().split()}


@pytest.mark.skipif(
    not list(Path("/proc/self/task").glob("*/children")), reason="children are read from /proc"
)
def test_a_trial_that_hangs_is_ended(
    bundle: Bundle, ends: Callable[[str], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is gone then, and nothing is kept: the machine may have been busy."""
    ends("import time; time.sleep(60)")
    monkeypatch.setattr(trial, "TIMEOUT_S", 0.3)
    before = _children()
    with pytest.raises(BundleError, match="does not end within"):
        try_model(bundle, Backend.ONNX)
    assert _children() == before
    ends("import os; os.abort()")
    with pytest.raises(BundleError, match="SIGABRT"):
        try_model(bundle, Backend.ONNX)


def test_a_process_that_cannot_start_is_said_with_a_way_out(
    bundle: Bundle, ends: Callable[[str], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends("raise SystemExit(3)")
    with pytest.raises(BackendMissingError, match=r"ends with 3.*BHAR_TRIAL=0"):
        try_model(bundle, Backend.ONNX)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(BackendMissingError, match=r"No such file.*BHAR_TRIAL=0"):
        try_model(bundle, Backend.ONNX)
    assert isinstance(choose_engine(bundle).engine, NativeEngine)
    monkeypatch.setenv("BHAR_TRIAL", "0")
    assert choose_engine(bundle, Backend.ONNX).engine.name.startswith("onnxruntime")


def test_the_trial_holds_a_model_to_the_memory_of_loading(
    presence_bundle: Path, ends: Callable[[str], list[int]]
) -> None:
    """A program in the place of the library, that takes 2 GB and cannot have them."""
    ends(
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
        " from bharsdk.engines import trial_process as t; import numpy as np;"
        " t._run = lambda *_, **__: np.ones(1 << 28); t.main()"
    )
    with pytest.raises(BundleError, match=r"model\.onnx: it needs more memory than there is"):
        try_model(load_bundle(presence_bundle), Backend.ONNX)


def test_what_the_graph_says_is_told_as_it_is_in_this_process(presence_bundle: Path) -> None:
    good = load_bundle(presence_bundle)
    for graph in (b"not a graph at all", good.model[:-40]):
        bad = make_bundle("bad.bhar", good.manifest, {"model.onnx": graph})
        with pytest.raises(BundleError) as here:
            open_engine(bad)
        with pytest.raises(BundleError) as there:
            choose_engine(bad)
        assert str(there.value).count("does not load") == str(here.value).count("does not load")
        assert "bad.bhar: model.onnx" in str(there.value)


def test_a_wrong_answer_is_no_crash(bundle: Bundle) -> None:
    """It is compared in this process, as ever."""
    golden = {
        name: np.zeros((1, *s), np.float32) for name, s in bundle.manifest.input_shapes.items()
    }
    off = np.full((1, len(bundle.manifest.labels)), 100, np.float32)
    files = {**bundle.files, **encode_golden(Golden(golden, off))}
    with pytest.raises(ParityError, match="off the golden logits"):
        choose_engine(make_bundle("off", bundle.manifest, files), Backend.ONNX)


def test_a_damaged_model_of_litert_leaves_the_native_one_running(bundle: Bundle) -> None:
    """Whether it is found by its structure or by a crash, and without LiteRT not at all."""
    files = {**bundle.files, TFLITE_MODEL: b"\x18\0\0\0TFL3" + bytes(4000)}
    damaged = make_bundle("damaged", replace(bundle.manifest), files)
    assert choose_engine(damaged).engine.name.split()[0] in ("native", "onnxruntime")


def test_starts_wait_for_each_other_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited takes what was found, though it would have measured something else."""
    shipped = load_bundle(PRGCN)
    measured: list[float] = []

    def latencies(_: Bundle, engines: Mapping[Backend, Engine]) -> dict[Backend, float]:
        """Ever slower, native the slowest at first: whoever measures comes to another result."""
        measured.append(1.0)
        if len(measured) == 1:  # in the meantime another start wants to measure too
            other = threading.Thread(target=lambda: found.append(choose_engine(shipped)))
            other.start()
            others.append(other)
            time.sleep(0.2)
        fast = Backend.ONNX if len(measured) == 1 else Backend.NATIVE
        return {backend: 1.0 if backend is fast else 5.0 for backend in engines}

    found: list[choice.Choice] = []
    others: list[threading.Thread] = []
    monkeypatch.setattr(choice, "_latencies_ms", latencies)
    first = choose_engine(shipped)
    others[0].join()
    assert len(measured) == 1
    assert first.engine.name == found[0].engine.name == "onnxruntime int8"
    assert "earlier start" in found[0].why and "earlier" not in first.why


def test_a_lock_that_nobody_gives_back_is_waited_for_no_longer_than_told() -> None:
    with machine.alone() as waited:
        assert not waited
        with machine.alone(0.05) as waited:
            assert waited
    with machine.alone() as waited:
        assert not waited


def test_three_measurements_a_minute_apart_decide_by_their_medians(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a busy moment at the first start is not remembered for good."""
    shipped, now = load_bundle(PRGCN), [1e9]
    times = iter([(50.0, 5.0), (3.0, 5.0), (3.0, 5.0)])
    monkeypatch.setattr(choice_cache.time, "time", lambda: now[0])

    def latencies(_: Bundle, engines: Mapping[Backend, Engine]) -> dict[Backend, float]:
        native, graph = next(times)
        return {Backend.NATIVE: native, Backend.ONNX: graph}

    monkeypatch.setattr(choice, "_latencies_ms", latencies)
    taken = []
    for later_s in (0, 30, 31, 30, 31, 3600, 3600):
        now[0] += later_s
        choice_now = choose_engine(shipped)
        taken.append(
            (choice_now.engine.name.split()[0], choice_now.why.partition(" ms, ")[2][-30:])
        )
    assert [name for name, _ in taken] == ["onnxruntime"] * 4 + ["native"] * 3
    assert "medians of 2 starts" in taken[2][1]
    assert "medians of 3 earlier starts" in taken[6][1]
    assert next(times, None) is None


def test_within_noise_the_preferred_order_decides() -> None:
    """Our own first, whatever the order in which they were measured."""
    alike = {Backend.TFLITE: 10.0, Backend.ONNX: 10.3, Backend.NATIVE: 10.4}
    assert choice._best(alike) is Backend.NATIVE
    assert choice._best({**alike, Backend.NATIVE: 11.0}) is Backend.ONNX
    assert choice._best({**alike, Backend.NATIVE: 11.0, Backend.ONNX: 11.0}) is Backend.TFLITE
