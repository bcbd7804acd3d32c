"""Promises of loading: whatever a bundle says, it costs little and ends in one line."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bharsdk
from bharsdk.bundle.bundle import GOLDEN, NATIVE_NETWORK, REPORT, Bundle, load_bundle, make_bundle
from bharsdk.bundle.calibration import Calibration, probabilities
from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.bundle.manifest import (
    EnrollmentRecord,
    FileRecord,
    GestureRecord,
    Manifest,
    encode_manifest,
    parse_manifest,
)
from bharsdk.bundle.shipped import SHIPPED
from bharsdk.bundle.stored_zip import pack, unpack
from bharsdk.cli import main
from bharsdk.engines import selection as choice
from bharsdk.engines.engine import Backend, open_engine
from bharsdk.engines.golden_check import read_golden
from bharsdk.engines.native import NativeEngine
from bharsdk.engines.selection import choose_engine
from bharsdk.errors import BharError, BundleError, InputError
from bharsdk.gestures.classifier import Classifier
from bharsdk.gestures.fit import Gesture, Samples
from bharsdk.gestures.storage import encode_known, with_gestures
from bharsdk.recognition.stream import Stream

PRGCN = load_bundle(SHIPPED / "asl-coffee-prgcn.bhar")
FIELDS = json.loads(encode_manifest(PRGCN.manifest))


def costs_little(work: Callable[[], object], error: type[BharError], reason: str) -> None:
    """Much less than the bound, so that a busy machine does not matter."""
    tracemalloc.start()
    begin_s = time.process_time()
    with pytest.raises(error, match=reason) as caught:
        work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - begin_s < 5 and peak < 256 << 20
    assert "\n" not in str(caught.value)


def changed(**fields: Any) -> bytes:
    return json.dumps(FIELDS | fields).encode()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"labels": [str(i) for i in range(5000)]}, "5000 labels, expected at most 4096"),
        (
            {"features": FIELDS["features"] | {"modalities": ["joint"] * 9000, "frames": 4096}},
            "windows of .* numbers, expected at most",
        ),
        ({"golden_tolerance": 10**400}, "a number of 401 signs"),
        ({"golden_tolerance": [[[[1]]]]}, "expected"),
        ({"calibration": FIELDS["calibration"] | {"temperature": 1e-308}}, "expected 0.01 to 100"),
        ({"calibration": FIELDS["calibration"] | {"temperature": 1e308}}, "expected 0.01 to 100"),
        ({"format_version": 1, "trained_on": "x" * (256 << 10)}, "bytes of JSON, expected at most"),
    ],
)
def test_a_manifest_that_asks_for_too_much_is_refused(fields: dict[str, Any], reason: str) -> None:
    costs_little(lambda: parse_manifest(changed(**fields), "a"), BundleError, reason)


def test_json_of_many_megabytes_is_not_parsed() -> None:
    huge = b'{"a": [' + b"1," * (30 << 20) + b"1]}"
    files = {**PRGCN.files, NATIVE_NETWORK: huge}
    bundle = Bundle("huge", PRGCN.manifest, files)
    costs_little(lambda: NativeEngine(bundle), BundleError, "bytes of JSON, expected at most")
    report = Bundle("huge", PRGCN.manifest, {**PRGCN.files, REPORT: huge})
    costs_little(lambda: report.report, BundleError, "bytes of JSON, expected at most")


def test_too_many_golden_clips_are_refused() -> None:
    from bharsdk.files.npy import encode_array

    arrays = {name: np.zeros((800, *s), "<f4") for name, s in PRGCN.manifest.input_shapes.items()}
    arrays["logits"] = np.zeros((800, len(PRGCN.manifest.labels)), "<f4")
    files = {GOLDEN[name]: encode_array(array) for name, array in arrays.items()}
    bundle = make_bundle("many", PRGCN.manifest, {**PRGCN.files, **files})
    costs_little(lambda: read_golden(bundle), BundleError, "800 golden clips .* 1 to 16")


def _taught(gestures: int, samples: int = 55, embedding: int = 256) -> EnrollmentRecord:
    record = PRGCN.manifest.enrollment
    assert record is not None
    new = tuple(GestureRecord(f"g{i}", 5, samples) for i in range(gestures))
    return replace(record, embedding=embedding, gestures=new)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (lambda: _taught(1500), "1500 gestures, expected at most 200"),
        (lambda: _taught(200, 200), "fitting them takes .*remove gestures"),
        (lambda: _taught(2, 1, 1 << 20), "fitting them takes .* MB"),
        (lambda: _taught(1, 10**20), "fitting them takes"),
    ],
)
def test_gestures_that_take_minutes_to_fit_are_refused(
    record: Callable[[], EnrollmentRecord], reason: str
) -> None:
    """As they are read, and as they are enrolled."""
    costs_little(lambda: replace(PRGCN.manifest, enrollment=record()), InputError, reason)


def test_as_many_gestures_as_anybody_enrolls_are_taken() -> None:
    assert len(replace(PRGCN.manifest, enrollment=_taught(60)).gestures) == 60


def test_one_gesture_too_many_is_refused_as_it_is_enrolled() -> None:
    """Not when the bundle is loaded again."""
    one = Samples(np.zeros((1, 16), np.float32), np.zeros((1, 256), np.float32))
    gestures = [Gesture(f"g{i}", 1, one) for i in range(201)]
    with pytest.raises(InputError, match="201 gestures, expected at most 200"):
        with_gestures(PRGCN, gestures)


def test_an_embedding_of_another_size_than_the_manifest_says_is_refused() -> None:
    """As the model is opened, with gestures and without."""
    known = Samples(np.zeros((80, 16), np.float32), np.zeros((80, 7), np.float32))
    record = replace(_taught(0), embedding=7)
    files = {**PRGCN.files, "enrolment/known.npy": encode_known(known, np.repeat(np.arange(16), 5))}
    other = make_bundle("other", replace(PRGCN.manifest, enrollment=record), files)
    taught = with_gestures(other, [Gesture("g", 5, known.take(slice(5)))])
    for bundle in (other, taught):
        with pytest.raises(BundleError, match="embedding of 256 numbers, expected 7"):
            open_engine(bundle, Backend.NATIVE)
        with pytest.raises(BundleError, match="embedding"):
            open_engine(bundle, Backend.ONNX)


def test_what_a_library_raises_while_it_runs_is_a_bundle_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever its type."""
    from bharsdk.engines.onnx import OnnxEngine

    clip = {n: np.zeros((1, *s), np.float32) for n, s in PRGCN.manifest.input_shapes.items()}
    engine = OnnxEngine(PRGCN)
    for raised in (MemoryError(), RuntimeError("bad\nnode"), RecursionError(), KeyError("x")):

        class Session:
            def run(self, *_: object, error: Exception = raised) -> None:
                raise error

        monkeypatch.setattr(engine, "_session", Session())
        for work in (engine.run, engine.embed):
            with pytest.raises(BundleError, match="onnxruntime cannot run it") as caught:
                work(clip)
            assert "\n" not in str(caught.value)


def test_logits_of_another_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from bharsdk.engines.onnx import OnnxEngine

    clip = {n: np.zeros((1, *s), np.float32) for n, s in PRGCN.manifest.input_shapes.items()}
    engine = OnnxEngine(PRGCN)

    class Session:
        def run(self, *_: object) -> list[Any]:
            return [np.zeros((2, 16), np.float32)]

    monkeypatch.setattr(engine, "_session", Session())
    with pytest.raises(
        BundleError, match=r"got logits float32 \[2, 16\], expected float32 \[1, 16"
    ):
        engine.run(clip)


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0, 1e-308, 1e308, 5e-324, -1, 1, 10**400, 60, 0.5]),
)


@settings(max_examples=300, deadline=None)
@given(
    temperature=numbers,
    logits=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2),
)
def test_every_temperature_that_loads_gives_probabilities(
    temperature: float, logits: list[float]
) -> None:
    try:
        calibration = Calibration(temperature, 0.5, 20, 0.9)
    except (InputError, OverflowError):
        return
    found = probabilities(np.array([logits], np.float32), calibration.temperature)
    assert np.isfinite(found).all() and found.sum() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(FIELDS["decoder"])), numbers, min_size=1))
def test_every_decoder_that_loads_runs(decoder: dict[str, Any]) -> None:
    fields = changed(decoder=FIELDS["decoder"] | decoder)
    try:
        manifest = parse_manifest(fields, "a")
    except BharError:
        return
    assert isinstance(manifest.decoder, DecoderConfig)
    stream = _stream(manifest)
    random = np.random.default_rng(0)
    for i in range(6):
        body, hands = random.random((33, 4), "f4"), random.random((2, 21, 3), "f4")
        stream.push(bharsdk.Landmarks(400.0 * i, body, hands))
    stream.flush()


def _stream(manifest: Manifest) -> Stream:
    from bharsdk.recognition.options import RecognizerOptions

    bundle = Bundle("a", manifest, PRGCN.files)
    return Stream(Classifier(bundle, ENGINE), RecognizerOptions())


ENGINE = NativeEngine(PRGCN)


def test_a_folder_without_a_manifest_is_no_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that cannot be trusted: there is nothing. Whatever else is in it."""
    (tmp_path / "some files.txt").write_text("x")
    for folder in (tmp_path, tmp_path / "empty"):
        folder.mkdir(exist_ok=True)
        with pytest.raises(InputError, match=r"folder without manifest\.json, expected a bundle"):
            load_bundle(folder)
        assert main(["inspect", str(folder)]) == 3
    assert "trusted" not in capsys.readouterr().err


def test_load_bundle_takes_the_names_of_shipped_models(tmp_path: Path) -> None:
    bundle = bharsdk.load_bundle("asl-coffee-prgcn")
    assert bundle.sha256 == PRGCN.sha256
    with pytest.raises(InputError, match="no shipped model of this name"):
        bharsdk.load_bundle("asl-tea")
    for wrong in (3, None, b"x"):
        with pytest.raises(InputError, match="expected a path"):
            bharsdk.load_bundle(wrong)  # type: ignore[arg-type]
    for name in ("a\0b", "x" * 5000, "a\0b.bhar"):
        with pytest.raises(InputError):
            bharsdk.load_bundle(name)


SMALL = {name: data for name, data in PRGCN.files.items() if not name.startswith("model")}


def _pieces() -> bytes:
    """A native bundle, without its graph."""
    graph = {"model.int8.onnx": b"no graph"}
    bundle = make_bundle("small", PRGCN.manifest, {**SMALL, **graph})
    return pack({"manifest.json": encode_manifest(bundle.manifest), **bundle.files})


WHOLE = _pieces()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_is_in_a_file_nothing_but_the_error_tree_comes_out(
    damage: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """One file of a bundle is damaged, and the manifest says that it is whole."""
    files = unpack(WHOLE, "small")
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = damage(data, files[name])
    if name != "manifest.json":
        fields = json.loads(files["manifest.json"])
        record = FileRecord.of(files[name])
        fields["files"][name] = {"size": record.size, "sha256": record.sha256}
        files["manifest.json"] = json.dumps(fields).encode()
    path = tmp_path_factory.mktemp("fuzz") / "a.bhar"
    path.write_bytes(pack(files))
    with contextlib.suppress(BharError):
        bundle = load_bundle(path)
        _ = bundle.report, bundle.model_card
        chosen = choose_engine(bundle, Backend.NATIVE)
        Classifier(bundle, chosen.engine)


def test_a_far_ahead_form_runs_alone() -> None:
    """The others are not even looked at while the first one proves itself."""
    report = {"forms": {"native-int8": {"latency_ms": 1}, "onnx-int8": {"latency_ms": 9}}}
    files = {**PRGCN.files, REPORT: json.dumps(report).encode(), "model.int8.onnx": b"hostile"}
    found = choice.choose_engine(make_bundle("ahead", PRGCN.manifest, files), require=True)
    assert found.engine.name.startswith("native")
