"""Promises of the engines: the right graph runs, on one thread, or one clear line says why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bharsdk.bundle.bundle import Bundle, Precision, load_bundle, make_bundle
from bharsdk.engines.engine import Backend, open_engine
from bharsdk.engines.golden_check import Golden, encode_golden, read_golden, verify_bundle
from bharsdk.errors import BundleError, InputError, ParityError

onnx = pytest.importorskip("onnx", reason="needs the extra 'export': pip install 'bharsdk[export]'")


@pytest.fixture
def bundle(presence_bundle: Path) -> Bundle:
    return load_bundle(presence_bundle)


def inputs(bundle: Bundle, clips: int = 2) -> dict[str, np.ndarray]:
    shapes = bundle.manifest.input_shapes
    arrays = {name: np.zeros((clips, *shape), np.float32) for name, shape in shapes.items()}
    arrays["hands"][:, -1, :, :, 1] = 1  # the right hand is there all the time
    return arrays


def changed(bundle: Bundle, edit: Callable[[onnx.ModelProto], None]) -> Bundle:
    model = onnx.load_from_string(bundle.model)
    edit(model)
    return make_bundle("edited", bundle.manifest, {"model.onnx": model.SerializeToString()})


def with_golden(bundle: Bundle, logits: np.ndarray | None = None) -> Bundle:
    if logits is None:
        logits = open_engine(bundle).run(inputs(bundle))
    golden = Golden(inputs(bundle), logits)
    return make_bundle("golden", bundle.manifest, {**bundle.files, **encode_golden(golden)})


def test_any_number_of_windows_runs_at_once(bundle: Bundle) -> None:
    engine = open_engine(bundle, Backend.AUTO)
    assert engine.name == "onnxruntime fp32"
    for clips in (1, 3):
        logits = engine.run(inputs(bundle, clips))
        assert logits.dtype == np.float32
        assert logits == pytest.approx(np.tile([10, 0, 20], (clips, 1)), abs=1e-4)


def test_the_manifest_decides_which_graph_runs(bundle: Bundle) -> None:
    manifest = replace(bundle.manifest, precision=Precision.INT8)
    files = {"model.int8.onnx": bundle.model, "model.onnx": b"never parsed"}
    engine = open_engine(make_bundle("both", manifest, files))
    assert engine.name == "onnxruntime int8"
    assert engine.run(inputs(bundle)).argmax(1).tolist() == [2, 2]


@pytest.mark.parametrize("wrong", ["dtype", "channels", "batch"])
def test_other_inputs_are_refused_with_both_shapes(bundle: Bundle, wrong: str) -> None:
    given = inputs(bundle)
    hands = given["hands"]
    match wrong:
        case "dtype":
            hands = hands.astype(np.float64)
        case "channels":
            hands = hands[:, 1:]
        case _:
            hands = hands[1:]
    expected = ", ".join(map(str, (2, *bundle.manifest.input_shapes["hands"])))
    with pytest.raises(InputError, match=rf"got hands .* expected float32 \[{expected}\]"):
        open_engine(bundle).run({**given, "hands": hands})


def test_a_graph_that_is_no_onnx_is_a_bundle_error_in_one_line(bundle: Bundle) -> None:
    broken = make_bundle("broken", bundle.manifest, {"model.onnx": b"not a graph at all"})
    with pytest.raises(BundleError, match="does not load") as caught:
        open_engine(broken)
    assert "\n" not in str(caught.value)


def test_a_graph_with_other_names_is_refused(bundle: Bundle) -> None:
    def edit(model: onnx.ModelProto) -> None:
        model.graph.output[0].name = "left"

    with pytest.raises(BundleError, match=r"expected .*'logits'"):
        open_engine(changed(bundle, edit))


def test_a_graph_of_another_window_is_refused(bundle: Bundle) -> None:
    def edit(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 64

    with pytest.raises(BundleError, match="from the manifest"):
        open_engine(changed(bundle, edit))


def test_a_graph_that_reads_other_files_is_refused_before_it_is_parsed(bundle: Bundle) -> None:
    def edit(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[2]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/hostname")

    with pytest.raises(BundleError, match="in another file"):
        open_engine(changed(bundle, edit))


def test_golden_data_replays(bundle: Bundle) -> None:
    result = verify_bundle(with_golden(bundle))
    assert (result.clips, result.engine) == (2, "onnxruntime fp32")
    assert result.max_abs_difference <= result.tolerance


def test_golden_logits_that_differ_are_a_parity_error(bundle: Bundle) -> None:
    off = np.full((2, 3), 10, np.float32)
    with pytest.raises(ParityError, match="off the golden logits"):
        verify_bundle(with_golden(bundle, logits=off))
    with pytest.raises(ParityError):
        verify_bundle(with_golden(bundle, logits=off * np.nan))


def test_a_bundle_without_golden_data_cannot_be_verified(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="is missing"):
        verify_bundle(bundle)


def test_golden_arrays_of_other_shapes_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"logits\.npy: got shape \[2, 4\], expected \[N, 3\]"):
        verify_bundle(with_golden(bundle, logits=np.zeros((2, 4), np.float32)))
    with pytest.raises(BundleError, match="golden"):
        verify_bundle(with_golden(bundle, logits=np.zeros((1, 3), np.float32)))


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 3), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }",
        b"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
        b"((((",
        b"",
    ],
)
def test_a_golden_header_that_lies_is_refused_without_allocating(
    bundle: Bundle, header: bytes
) -> None:
    files = dict(with_golden(bundle).files)
    text = header + b"\n"
    size = len(text).to_bytes(2, "little")
    files["golden/logits.npy"] = b"\x93NUMPY\x01\x00" + size + text + bytes(24)
    with pytest.raises(BundleError, match=r"logits\.npy is no float32"):
        read_golden(make_bundle("lies", bundle.manifest, files))
