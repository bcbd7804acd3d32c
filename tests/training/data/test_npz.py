from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bhar_training.data import npz
from bhar_training.data.clips import load_clips
from bhar_training.data.npz import array_names, numbers_of, read_arrays, texts_of
from bhar_training.data.skeleton_datasets import read_skeletons
from bharsdk.errors import InputError

NPY: Any = np.lib.format


def _claims(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """A .npy file whose header says more than there is."""
    file = io.BytesIO()
    NPY.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(16)


def _zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def test_only_the_named_arrays_are_read(tmp_path: Path) -> None:
    """Others may be anything, objects too."""
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.arange(6.0).reshape(2, 3), b=np.array([{}], object))
    assert set(array_names(path)) == {"a", "b"}
    found = read_arrays(path, ("a", "c"))
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], np.arange(6.0).reshape(2, 3))
    with pytest.raises(InputError, match=r"x\.npz: not a readable \.npz without pickles"):
        read_arrays(path, ("b",))


@pytest.mark.parametrize(
    "member",
    [
        _claims((1 << 40,)),
        _claims((1 << 20, 1 << 20, 1 << 20, 1 << 20)),
        _claims((3,), "<f8"),
        _claims((-1,)),
        _claims((4,)).replace(b"'descr'", b"'descx'"),
        _claims((4,)).replace(b"(4,)", b"(((("),
        _claims((4,)).replace(b"<f4", b"|O8"),
        b"\x93NUMPY\x09\x00" + bytes(90),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"",
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(
    tmp_path: Path, member: bytes
) -> None:
    """One InputError that names the file, whatever numpy would have raised or allocated."""
    path = _zip(
        tmp_path / "x.npz", landmarks=member, label=_claims((4,)), data=member, length=member
    )
    with pytest.raises(InputError, match=r"x\.npz: not a readable") as error:
        load_clips(path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"x\.npz: not a readable"):
        read_skeletons(path)


def test_what_grows_beyond_the_bound_is_refused_by_its_own_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small zip can hold terabytes of zeros."""
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(1 << 20), b=np.zeros(1 << 20))
    monkeypatch.setattr(npz, "MAX_DATASET_BYTES", 1 << 22)
    assert path.stat().st_size < 1 << 16
    with pytest.raises(InputError, match=r"x\.npz: got arrays of 0\.0 GB, expected at most"):
        read_arrays(path, ("a", "b"))


def test_names_are_text_or_whole_numbers() -> None:
    """Bytes would become "b'x'", and floats "1.0"."""
    assert texts_of(np.array(["a", "b"]), "x") == ("a", "b")
    assert texts_of(np.array([1, 12]), "x") == ("1", "12")
    for wrong in ([b"a"], [1.0], [True], [["a"]]):
        with pytest.raises(InputError, match="x: label: got"):
            texts_of(np.array(wrong), "x: label")
    no_text = np.frombuffer(b"\xff\xff\xff\x7f", "<U1")
    with pytest.raises(InputError, match="no Unicode"):
        texts_of(no_text, "x: label")
    with pytest.raises(InputError, match="whole number"):
        numbers_of(np.array([0.5]), "x: block")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_never_more_than_bad_input(
    tmp_path: Path, data: st.DataObject, damage: Any
) -> None:
    """Cut, flipped or grown anywhere: it is read or refused."""
    whole = tmp_path / "whole.npz"
    if not whole.exists():
        random = np.random.default_rng(0)
        np.savez(whole, landmarks=random.random((2, 3, 126), np.float32), label=["a", "b"])
    path = tmp_path / "x.npz"
    path.write_bytes(damage(data, whole.read_bytes()))
    try:
        clips = load_clips(path)
    except InputError:
        return
    assert len(clips) == 2
