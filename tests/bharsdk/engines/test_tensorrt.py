"""Promises of engines built on a device: what is not proven to be ours and to fit is built anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bharsdk.bundle.bundle import Bundle, load_bundle
from bharsdk.cli import main
from bharsdk.engines.engine import Backend, open_engine
from bharsdk.engines.tensorrt_cache import EngineKey, engine_path, load_engine, store_engine
from bharsdk.errors import BackendMissingError, InputError
from bharsdk.recognizer import bundle_path

KEY = EngineKey("ab" * 32, "int8", "10.3.0", "Orin", "8.7", "# R36, REVISION: 4.0", "01234567")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the engine of a bundle lies."""
    path = engine_path(tmp_path / "signs.bhar")
    store_engine(path, KEY, b"engine")
    return path


def test_an_engine_is_found_again_beside_its_bundle(kept: Path) -> None:
    assert kept.name == "signs.bhar.engine"
    assert load_engine(kept, KEY) == (b"engine", "")
    assert sorted(p.name for p in kept.parent.iterdir()) == [kept.name, kept.name + ".json"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tensorrt": "10.7.0"}, "tensorrt 10.3.0 -> 10.7.0"),
        ({"gpu": "Orin NX"}, "gpu Orin -> Orin NX"),
        ({"jetpack": "# R38"}, "jetpack # R36, REVISION: 4.0 -> # R38"),
        ({"precision": "fp16"}, "precision int8 -> fp16"),
        ({"model_sha256": "cd" * 32}, "model_sha256"),
        ({"machine": "89abcdef"}, "machine 01234567 -> 89abcdef"),
        ({"compute_capability": "11.0"}, "compute_capability 8.7 -> 11.0"),
    ],
)
def test_what_it_does_not_hold_for_is_named_with_both_versions(
    kept: Path, change: dict[str, str], named: str
) -> None:
    engine, why = load_engine(kept, replace(KEY, **change))
    assert engine is None
    assert why.startswith(named)


def test_a_damaged_engine_or_description_is_built_anew(kept: Path) -> None:
    sidecar = kept.with_name(kept.name + ".json")
    good = sidecar.read_bytes()
    kept.write_bytes(b"another engine")
    assert load_engine(kept, KEY) == (None, "it is damaged")
    kept.write_bytes(b"engine")
    foreign = {**json.loads(good), "more": 1}
    for text in (b"", b"{", good[:-20], b"[]", json.dumps(foreign).encode(), b"x" * (1 << 17)):
        sidecar.write_bytes(text)
        engine, why = load_engine(kept, KEY)
        assert engine is None and why
    sidecar.unlink()
    assert load_engine(kept, KEY) == (None, "there is none")


def test_an_engine_that_cannot_be_kept_is_an_error_that_says_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot keep the engine"):
        store_engine(tmp_path / "no folder" / "a.engine", KEY, b"engine")


def test_a_bundle_without_a_graph_for_tensorrt_says_how_to_get_one() -> None:
    bundle = load_bundle(bundle_path("asl-coffee-prgcn"))
    with pytest.raises(BackendMissingError, match="--target jetson --int8"):
        open_engine(bundle, Backend.TENSORRT)


def test_build_needs_tensorrt_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 8, on a machine without TensorRT."""
    monkeypatch.setattr(Bundle, "tensorrt_file", "model.int8.onnx")
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    assert main(["build", "asl-coffee-prgcn"]) == 8
    assert "TensorRT is not installed: JetPack brings it" in capsys.readouterr().err
