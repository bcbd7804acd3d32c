"""A trained model as one file: ``NAME.bhar``.

It is a stored zip; the same files in a folder work too.

::

    manifest.json     Manifest: what the model is; size and sha256 of every other file
    model.onnx        graph in float32          (at least one of these four)
    model.fp16.onnx   graph in half precision
    model.int8.onnx   quantized graph, QDQ
    model.mixed.onnx  quantized graph with more layers in float
    model.step.onnx   one frame of a causal model; its state is input and output
    model.tflite      graph for LiteRT
    model.step.tflite one frame of a causal model for LiteRT; names have _ in place of .
    model.qdq.onnx    quantized graph for TensorRT
    native/*          network for bharsdk's own kernels
    enrolment/*.npy   samples of the known classes, and of the enrolled gestures
    golden/*.npy      golden inputs, and the logits that every backend must compute from them
    report.json       what the exporter measured
    MODEL_CARD.md     the same for people

Loading trusts nothing. It checks names, sizes and hashes before a parser other than JSON sees a
byte. :mod:`bharsdk.files.limits` bounds the cost. Hashes show damage, not authorship: use bundles
from people you trust.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bharsdk.bundle.feature_config import ModelInput
from bharsdk.bundle.manifest import (
    FORMAT_VERSION,
    FileRecord,
    Manifest,
    Precision,
    encode_manifest,
    parse_manifest,
    parse_object,
)
from bharsdk.bundle.shipped import bundle_path
from bharsdk.bundle.stored_zip import check_name, pack, unpack
from bharsdk.errors import BundleError, InputError
from bharsdk.files.limits import MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES, MAX_REPORT_BYTES
from bharsdk.files.untrusted import reading
from bharsdk.files.writing import write_atomically
from bharsdk.values.brief import brief
from bharsdk.values.checks import as_path

__all__ = [
    "ENROLLMENT_GESTURES",
    "ENROLLMENT_KNOWN",
    "FORMAT_VERSION",
    "GOLDEN",
    "NATIVE_INTEGERS",
    "NATIVE_LOGITS",
    "NATIVE_NETWORK",
    "NATIVE_WEIGHTS",
    "QDQ_LOGITS",
    "QDQ_MODEL",
    "STEP_LOGITS",
    "STEP_MODEL",
    "STEP_TFLITE",
    "TFLITE_LOGITS",
    "TFLITE_MODEL",
    "Bundle",
    "FileRecord",
    "Manifest",
    "Precision",
    "load_bundle",
    "make_bundle",
    "save_bundle",
]

MANIFEST, REPORT, MODEL_CARD = "manifest.json", "report.json", "MODEL_CARD.md"
GOLDEN = {name: f"golden/{name}.npy" for name in (*(i.value for i in ModelInput), "logits")}
"""Golden arrays: name -> file."""

NATIVE_NETWORK, NATIVE_WEIGHTS = "native/network.json", "native/weights.bin"
NATIVE_INTEGERS, NATIVE_LOGITS = "native/integers.bin", "golden/native-logits.npy"
"""Of a quantized native network: rounding makes its logits others than those of the graph."""

TFLITE_MODEL, TFLITE_LOGITS = "model.tflite", "golden/tflite-logits.npy"
"""For LiteRT; the logits if it is quantized."""

QDQ_MODEL, QDQ_LOGITS = "model.qdq.onnx", "golden/qdq-logits.npy"
"""For TensorRT, which builds its engine from it on the device."""

STEP_MODEL, STEP_LOGITS = "model.step.onnx", "golden/step-logits.npy"
"""A causal model frame by frame, in float32; the logits where the graph of clips is quantized."""
STEP_TFLITE = "model.step.tflite"

ENROLLMENT_KNOWN, ENROLLMENT_GESTURES = "enrolment/known.npy", "enrolment/gestures.npy"
"""See :mod:`bharsdk.gestures.storage`."""

ALLOWED_FILES = frozenset(
    {
        *(p.model_file for p in Precision),
        *(NATIVE_NETWORK, NATIVE_WEIGHTS, NATIVE_INTEGERS, NATIVE_LOGITS),
        *(TFLITE_MODEL, TFLITE_LOGITS, QDQ_MODEL, QDQ_LOGITS),
        *(STEP_MODEL, STEP_LOGITS, STEP_TFLITE),
        *(ENROLLMENT_KNOWN, ENROLLMENT_GESTURES),
        *GOLDEN.values(),
        *(REPORT, MODEL_CARD),
    }
)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked bundle in memory.

    Attributes:
        source: the path it came from, for messages.
        manifest: what the model is.
        files: name -> bytes of every file but the manifest.
    """

    source: str
    manifest: Manifest
    files: Mapping[str, bytes]

    def __repr__(self) -> str:
        return brief(
            self,
            source=self.source,
            model=self.manifest.name,
            precision=self.manifest.precision.value,
            labels=len(self.manifest.all_labels),
            bytes=sum(map(len, self.files.values())),
        )

    @property
    def model(self) -> bytes:
        """Return the ONNX graph of the precision that the manifest names."""
        return self.files[self.manifest.precision.model_file]

    @property
    def sha256(self) -> str:
        """Return the sha256 of the manifest.

        It holds the hash of every file, so it identifies the bundle.
        """
        return hashlib.sha256(encode_manifest(self.manifest)).hexdigest()

    @property
    def tensorrt_file(self) -> str | None:
        """Return the name of the graph that TensorRT builds from; None if the bundle has none."""
        graphs = (QDQ_MODEL, Precision.FP16.model_file)
        return next((name for name in graphs if name in self.files), None)

    @property
    def report(self) -> dict[str, Any]:
        """Return what the exporter measured; empty if the bundle has no report."""
        if REPORT not in self.files:
            return {}
        where = f"{self.source}: {REPORT}"
        return parse_object(self.files[REPORT], where, MAX_REPORT_BYTES)

    @property
    def model_card(self) -> str:
        """Return the model card as Markdown; empty if the bundle has none."""
        return self.files.get(MODEL_CARD, b"").decode("utf-8", "replace")


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle.

    The bundle may be a ``.bhar`` file, a folder with its files, or the name of a shipped model such
    as ``asl-coffee``. Loading needs at most about three times ``MAX_BUNDLE_BYTES`` of memory,
    whatever the file claims.

    Raises:
        InputError: nothing is there, it cannot be read, or the folder has no manifest.
        IncompatibleError: the bundle has another format version.
        BundleError: the bundle is damaged, or is no bundle.
    """
    source = bundle_path(path)
    try:
        mode = source.stat().st_mode
        if stat.S_ISDIR(mode):
            files = _read_folder(source)
        elif stat.S_ISREG(mode):
            files = unpack(_read_file(source, MAX_BUNDLE_BYTES, str(source)), str(source))
        else:
            raise BundleError(f"{source}: got a device or pipe, expected a .bhar file or a folder")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source}: cannot read the bundle: {reason}; check the path") from error
    with reading(source, BundleError, expected="a bundle: fetch or export it again"):
        return _checked(files, str(source))


def make_bundle(source: str, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Make a bundle of ``files`` in memory and fill in sizes and hashes.

    Raises BundleError when the result would not load.
    """
    manifest = replace(manifest, files={n: FileRecord.of(files[n]) for n in sorted(files)})
    content = {name: files[name] for name in manifest.files}
    return _checked({MANIFEST: encode_manifest(manifest), **content}, source)


def save_bundle(
    path: str | os.PathLike[str], manifest: Manifest, files: Mapping[str, bytes]
) -> Bundle:
    """Write a bundle to ``path`` and return it as it loads again.

    Sizes and hashes are filled in. The same input gives the same bytes. The file appears whole or
    not at all.

    Raises:
        BundleError: the result would not load.
        InputError: the file cannot be written.
    """
    target = as_path(path, "bundle: got the path")
    bundle = make_bundle(str(target), manifest, files)
    data = pack({MANIFEST: encode_manifest(bundle.manifest), **bundle.files})
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError(f"{target}: got {len(data)} bytes, expected at most {MAX_BUNDLE_BYTES}")
    write_atomically(target, data)
    return bundle


def _checked(files: dict[str, bytes], where: str) -> Bundle:
    """The bundle of ``files``, if the manifest accounts for every one of them."""
    if MANIFEST not in files:
        raise BundleError(f"{where}: {MANIFEST} is missing, this is not a bharsdk bundle")
    content = {name: data for name, data in files.items() if name != MANIFEST}
    manifest = parse_manifest(files[MANIFEST], f"{where}: {MANIFEST}")
    unknown = sorted((set(content) | set(manifest.files)) - ALLOWED_FILES)
    if unknown:
        raise BundleError(f"{where}: got a file {unknown[0]!r} that no bundle of this format has")
    needed = {*manifest.files, manifest.precision.model_file}
    for name in sorted(needed ^ set(content)):
        state = "missing" if name in needed else "not listed in the manifest"
        raise BundleError(f"{where}: {name} is {state}; fetch or export the bundle again")
    for name, data in content.items():
        if manifest.files.get(name) != FileRecord.of(data):
            raise BundleError(
                f"{where}: size or sha256 of {name} is not the manifest's, the file was damaged or"
                " changed; fetch or export the bundle again"
            )
    return Bundle(where, manifest, content)


def _read_folder(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, links and other oddities refused, by name as in the archive."""
    if not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder}: got a folder without {MANIFEST}, expected a bundle: a NAME.bhar, or the"
            " folder of its files"
        )
    files: dict[str, bytes] = {}
    pending, seen, budget = [folder], 0, MAX_BUNDLE_BYTES
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                seen += 1
                name = check_name(Path(entry.path).relative_to(folder).as_posix(), str(folder))
                if seen > MAX_BUNDLE_FILES:
                    raise BundleError(
                        f"{folder}: got more than {MAX_BUNDLE_FILES} files, no bundle has"
                    )
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    files[name] = _read_file(Path(entry.path), budget, str(folder))
                    budget -= len(files[name])
                else:
                    raise BundleError(f"{folder}: {name} is a link or device, expected plain files")
    return files


def _read_file(path: Path, budget: int, where: str) -> bytes:
    with path.open("rb") as file:
        # The size first, so that a huge file costs nothing; then what is read, since it may grow.
        fits = os.fstat(file.fileno()).st_size <= budget
        data = file.read(budget + 1) if fits else b""
    if not fits or len(data) > budget:
        raise BundleError(f"{where}: got more than {MAX_BUNDLE_BYTES >> 20} MiB, this is no bundle")
    return data
