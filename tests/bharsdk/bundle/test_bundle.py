"""Promises of the bundle: it loads whole, or it is refused in one line, quickly."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bharsdk.bundle.bundle import Bundle, Manifest, Precision, load_bundle, make_bundle, save_bundle
from bharsdk.bundle.calibration import Calibration
from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.bundle.feature_config import FeatureConfig, Modality, ModelInput
from bharsdk.bundle.manifest import encode_manifest
from bharsdk.bundle.stored_zip import pack, unpack
from bharsdk.errors import BharError, BundleError, IncompatibleError, InputError

FILES = {
    "model.onnx": bytes(range(256)) * 4,
    "report.json": b'{"warnings": []}',
    "MODEL_CARD.md": "# Wörter\n".encode(),
    "golden/body.npy": b"\x93NUMPY",
}
MANIFEST = Manifest(
    name="test",
    labels=("-", "hello", "tea"),
    background="-",
    features=FeatureConfig(24.0, 32, 0.25, (Modality.JOINT, Modality.BONE), presence=True),
    decoder=DecoderConfig(0.7, 0.4, 0.1, 0.2, 0.2, 0.1, 0.5),
    precision=Precision.FP32,
    model="pr-gcn",
    trained_on="nothing",
    license="MIT",
    golden_tolerance=0.001,
)
GOLDEN_SHA256 = "141a5f9e9bf3151b314da45d5dbfc6b597e308fa7a3fbbd22378458b48805e7d"
"""Of the bundle of FILES and MANIFEST: format version 1, to the byte."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_bundle(tmp_path / "test.bhar", MANIFEST, FILES)
    return tmp_path / "test.bhar"


@pytest.fixture
def folder(path: Path) -> Path:
    target = path.parent / "folder"
    zipfile.ZipFile(path).extractall(target)
    return target


def edited_manifest(path: Path, edit: Callable[[dict[str, object]], None]) -> None:
    files = unpack(path.read_bytes(), "test")
    fields = json.loads(files["manifest.json"])
    edit(fields)
    path.write_bytes(pack({**files, "manifest.json": json.dumps(fields).encode()}))


def refused(path: Path, error: type[BharError] = BundleError) -> str:
    with pytest.raises(error) as caught:
        load_bundle(path)
    message = str(caught.value)
    assert type(caught.value) is error
    assert "\n" not in message
    assert str(path.name) in message
    return message


def test_what_was_saved_is_what_loads(path: Path) -> None:
    bundle = load_bundle(path)
    assert dict(bundle.files) == FILES
    assert replace(bundle.manifest, files={}) == MANIFEST
    assert bundle.model == FILES["model.onnx"]
    assert bundle.report == {"warnings": []}
    assert bundle.model_card == "# Wörter\n"


def test_the_folder_of_its_files_is_the_same_bundle(path: Path, folder: Path) -> None:
    assert load_bundle(folder).manifest == load_bundle(path).manifest
    assert dict(load_bundle(folder).files) == FILES


def test_the_format_is_the_same_to_the_byte(path: Path) -> None:
    assert hashlib.sha256(path.read_bytes()).hexdigest() == GOLDEN_SHA256


def test_a_calibration_travels_with_the_bundle(tmp_path: Path) -> None:
    """To the last digit; a bundle without one does not mention it."""
    calibration = Calibration(0.1 + 0.2, 1 / 3, 40, 0.95)
    calibrated = replace(MANIFEST, calibration=calibration)
    save_bundle(tmp_path / "test.bhar", calibrated, FILES)
    assert load_bundle(tmp_path / "test.bhar").manifest.calibration == calibration
    assert b"calibration" in encode_manifest(calibrated)
    assert b"calibration" not in encode_manifest(MANIFEST)


def test_any_unzip_program_reads_it(path: Path) -> None:
    archive = zipfile.ZipFile(path)
    assert archive.testzip() is None
    assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
    assert archive.namelist()[0] == "manifest.json"


def test_input_shapes_follow_the_features() -> None:
    assert MANIFEST.input_shapes == {"body": (7, 32, 25, 1), "hands": (7, 32, 21, 2)}


def test_a_bundle_of_one_input_says_which_and_others_need_not(path: Path) -> None:
    """Bundles made before there was a choice read both, and who is there is who has a body."""
    assert b'"inputs"' not in unpack(path.read_bytes(), "test")["manifest.json"]
    assert load_bundle(path).manifest.inputs == (ModelInput.BODY, ModelInput.HANDS)
    assert MANIFEST.subject is ModelInput.BODY
    for one, shape in ((ModelInput.BODY, (7, 32, 25, 1)), (ModelInput.HANDS, (7, 32, 21, 2))):
        manifest = save_bundle(path, replace(MANIFEST, inputs=(one,)), FILES).manifest
        assert load_bundle(path).manifest == manifest
        assert manifest.input_shapes == {one.value: shape}
        assert manifest.subject is one


def test_a_missing_path_is_an_input_error(tmp_path: Path) -> None:
    assert "check the path" in refused(tmp_path / "none.bhar", InputError)


def test_another_format_version_is_named_before_anything_else(path: Path) -> None:
    def edit(fields: dict[str, object]) -> None:
        fields.clear()
        fields.update(format_version=2, quantum="yes")

    edited_manifest(path, edit)
    assert "upgrade bharsdk" in refused(path, IncompatibleError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", "1"),
        ("format_version", True),
        ("labels", ["-", "hello", "hello"]),
        ("labels", ["-", "line\nbreak"]),
        ("labels", ["-"]),
        ("background", "unknown"),
        ("precision", "fp8"),
        ("skeletons", ["mediapipe_body25", "nobody"]),
        ("golden_tolerance", 0),
        ("inputs", []),
        ("inputs", ["hands", "hands"]),
        ("inputs", ["face"]),
        ("surprise", 1),
        ("features", {"fps": -1}),
        ("calibration", {"temperature": 1.0, "reject_below": 0.5}),
        ("calibration", {"temperature": 0, "reject_below": 0.5, "clips": 9, "keep": 0.9}),
        ("calibration", {"temperature": 1, "reject_below": 1.5, "clips": 9, "keep": 0.9}),
        ("files", {}),
        ("files", {"/etc/passwd": {"size": 1, "sha256": ""}}),
        ("precision", "int8"),
    ],
)
def test_a_manifest_that_contradicts_is_refused(path: Path, key: str, value: object) -> None:
    edited_manifest(path, lambda fields: fields.update({key: value}))
    refused(path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format_version": 1, "format_version": 1}',
        b'{"format_version": NaN}',
        b'{"format_version": ' + b"9" * 5000 + b"}",
        b'{"format_version": 1, "name": "\\ud800"}',
        b" " * (300 << 10),
    ],
)
def test_a_manifest_that_is_not_sound_json_is_refused(path: Path, text: bytes) -> None:
    files = unpack(path.read_bytes(), "test")
    path.write_bytes(pack({**files, "manifest.json": text}))
    refused(path)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a//b", "golden/../x", "c:\\x", ".x"])
def test_names_that_leave_the_bundle_are_refused(path: Path, name: str) -> None:
    path.write_bytes(pack({**unpack(path.read_bytes(), "test"), name: b"x"}))
    assert "cannot be trusted" in refused(path)


def test_files_that_no_bundle_has_are_refused(path: Path) -> None:
    path.write_bytes(pack({**unpack(path.read_bytes(), "test"), "code.py": b"x"}))
    assert "code.py" in refused(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_compressed_entries_are_refused(path: Path, method: int) -> None:
    files = unpack(path.read_bytes(), "test")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    assert "compressed" in refused(path)


def test_links_and_pipes_in_a_folder_are_refused(folder: Path) -> None:
    (folder / "report.json").unlink()
    (folder / "report.json").symlink_to(folder / "MODEL_CARD.md")
    assert "link" in refused(folder)
    (folder / "report.json").unlink()
    os.mkfifo(folder / "report.json")
    assert "link or device" in refused(folder)


def test_a_folder_with_a_changed_or_added_file_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"other")
    assert "model.onnx" in refused(folder)
    (folder / "model.onnx").write_bytes(FILES["model.onnx"])
    (folder / "model.int8.onnx").write_bytes(b"added")
    assert "not listed" in refused(folder)


def test_a_device_is_refused() -> None:
    refused(Path("/dev/zero"))


def test_a_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    with (tmp_path / "huge.bhar").open("wb") as file:
        file.truncate(8 << 30)
    start = time.perf_counter()
    assert "64 MiB" in refused(tmp_path / "huge.bhar")
    assert time.perf_counter() - start < 2


def test_saving_leaves_nothing_half_written(tmp_path: Path) -> None:
    target = tmp_path / "test.bhar"
    with pytest.raises(BundleError):
        save_bundle(target, MANIFEST, {"report.json": b"{}"})
    with pytest.raises(InputError):
        save_bundle(tmp_path / "none" / "test.bhar", MANIFEST, FILES)
    target.mkdir()
    (target / "keep").touch()
    with pytest.raises(InputError):
        save_bundle(target, MANIFEST, FILES)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["test.bhar"]


def test_saving_replaces_what_was_there(path: Path) -> None:
    save_bundle(path, MANIFEST, {**FILES, "report.json": b"{}"})
    assert load_bundle(path).report == {}


def test_a_bundle_in_memory_is_checked_as_one_on_disk() -> None:
    bundle = make_bundle("memory", MANIFEST, FILES)
    assert isinstance(bundle, Bundle)
    with pytest.raises(BundleError):
        make_bundle("memory", MANIFEST, {**FILES, "x.bin": b""})


def damaged(data: bytes, random: random.Random) -> bytes:
    """``data`` with one flip, cut, doubled or renamed entry, insertion or inflated number."""
    changed = bytearray(data)
    at = random.randrange(len(data))
    match random.randrange(7):
        case 0 | 1:
            changed[at] ^= 1 << random.randrange(8)
        case 2:
            del changed[at:]
        case 3:
            changed[at:at] = random.randbytes(random.randrange(1, 64))
        case 4:
            start = random.choice([i for i in range(len(data)) if data[i : i + 2] == b"PK"])
            changed[start : start + 46] = random.randbytes(46)
        case 5:
            changed[at : at + 4] = b"\xff\xff\xff\xff"
        case _:
            end = random.randrange(at, len(data))
            changed[end:end] = data[at : end + 1]
    return bytes(changed)


def test_no_damage_to_the_file_gets_through(path: Path) -> None:
    """Each is exit code 4 and one line, within a second and little memory, whatever it claims."""
    whole = path.read_bytes()
    dice = random.Random(2)
    tracemalloc.start()
    for case in range(1500):
        broken = damaged(whole, dice)
        if broken == whole:
            continue
        path.write_bytes(broken)
        tracemalloc.reset_peak()
        start = time.perf_counter()
        with pytest.raises(BundleError) as caught:
            load_bundle(path)
        assert caught.value.exit_code == 4
        assert "\n" not in str(caught.value), f"case {case}"
        assert time.perf_counter() - start < 1, f"case {case}"
        assert tracemalloc.get_traced_memory()[1] < 200 << 20, f"case {case}"
    tracemalloc.stop()


def damaged_entry(data: bytes, random: random.Random) -> bytes:
    """``data`` with a bit flipped, its end cut off or something appended."""
    at = random.randrange(len(data))
    match random.randrange(3):
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at]
        case _:
            return data + random.randbytes(random.randrange(1, 64))


def test_no_damage_inside_a_sound_archive_gets_through(path: Path) -> None:
    files = unpack(path.read_bytes(), "test")
    dice = random.Random(3)
    for _ in range(400):
        name = dice.choice([name for name in files if name != "manifest.json"])
        path.write_bytes(pack({**files, name: damaged_entry(files[name], dice)}))
        assert name in refused(path)


def test_a_damaged_manifest_is_refused_or_is_another_sound_one(path: Path) -> None:
    files = unpack(path.read_bytes(), "test")
    dice = random.Random(4)
    messages = []
    for _ in range(400):
        changed = damaged_entry(files["manifest.json"], dice)
        path.write_bytes(pack({**files, "manifest.json": changed}))
        try:
            # It has no hash of its own: a changed letter of a label makes another label.
            load_bundle(path)
        except (BundleError, IncompatibleError) as error:
            messages.append(str(error))
    assert len(messages) > 300
    assert not [message for message in messages if "\n" in message]
