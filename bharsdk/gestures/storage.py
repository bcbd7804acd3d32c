"""Store enrollment in a bundle.

::

    enrolment/known.npy     float16 [n, classes + D]: samples of the model's classes, by class
    enrolment/gestures.npy  float16 [m, classes + D]: samples of the gestures, by gesture

A row is what the model made of one window: its logits, then its embedding. The manifest says how
many rows belong to whom. A bundle without the first file takes no gestures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import (
    ENROLLMENT_GESTURES,
    ENROLLMENT_KNOWN,
    MODEL_CARD,
    Bundle,
    make_bundle,
)
from bharsdk.bundle.manifest import EnrollmentRecord, GestureRecord, Manifest
from bharsdk.errors import BundleError, InputError
from bharsdk.files.npy import decode_array, encode_array
from bharsdk.gestures.fit import Enrollment, Gesture, Samples

__all__ = ["encode_known", "gestures_of", "known_samples", "read_enrollment", "with_gestures"]

SECTION = "\n## Enrolled gestures\n"
"""Of the model card, at its end."""


def encode_known(samples: Samples, classes: npt.NDArray[np.int64]) -> bytes:
    """Return ``enrolment/known.npy`` of samples that are sorted by class."""
    if len(classes) != len(samples) or (np.diff(classes) < 0).any():
        raise InputError("enrollment: got samples in no order, expected them class by class")
    return _encode(samples)


def read_enrollment(bundle: Bundle) -> Enrollment | None:
    """Return the model's classes and the gestures of ``bundle``; None if it has no gestures.

    Clips of a label that the model knows stand beside the samples of that class. Raises BundleError
    when the bundle has no known samples, or a file does not fit the manifest.
    """
    gestures, labels = gestures_of(bundle), bundle.manifest.labels
    new = tuple(gesture for gesture in gestures if gesture.label not in labels)
    if not new:
        return None
    calibration = bundle.manifest.calibration
    return Enrollment(
        *known_samples(bundle),
        new,
        1.0 if calibration is None else calibration.temperature,
        {labels.index(g.label): g.samples for g in gestures if g.label in labels},
    )


def known_samples(bundle: Bundle) -> tuple[Samples, npt.NDArray[np.int64]]:
    """Return the samples of the model's classes and the class of each."""
    record = _record(bundle)
    samples = _read(bundle, ENROLLMENT_KNOWN, sum(record.known))
    return samples, np.repeat(np.arange(len(bundle.manifest.labels)), record.known)


def gestures_of(bundle: Bundle) -> tuple[Gesture, ...]:
    """Return the gestures of ``bundle``. Raises BundleError when its files do not fit."""
    records = bundle.manifest.gestures
    if not records:
        return ()
    samples = _read(bundle, ENROLLMENT_GESTURES, sum(record.samples for record in records))
    ends = np.cumsum([record.samples for record in records])
    return tuple(
        Gesture(record.label, record.clips, samples.take(slice(end - record.samples, end)))
        for record, end in zip(records, ends, strict=True)
    )


def with_gestures(bundle: Bundle, gestures: Sequence[Gesture]) -> Bundle:
    """Return ``bundle`` with these gestures in place of its own; all else stays.

    Raises InputError on a label that the model knows, BundleError when it takes no gestures.
    """
    records = tuple(GestureRecord(g.label, g.clips, len(g.samples)) for g in gestures)
    manifest = replace(bundle.manifest, enrollment=replace(_record(bundle), gestures=records))
    files = {name: data for name, data in bundle.files.items() if name != ENROLLMENT_GESTURES}
    if gestures:
        files[ENROLLMENT_GESTURES] = _encode(Samples.joined([g.samples for g in gestures]))
    if MODEL_CARD in files:
        files[MODEL_CARD] = _card(bundle.model_card, manifest).encode()
    return make_bundle(bundle.source, manifest, files)


def _record(bundle: Bundle) -> EnrollmentRecord:
    record = bundle.manifest.enrollment
    if record is None or ENROLLMENT_KNOWN not in bundle.files or not sum(record.known):
        raise BundleError(
            f"{bundle.source} holds no samples of what it knows, from which new gestures are told:"
            " export it again, with recordings as  --calib"
        )
    return record


def _encode(samples: Samples) -> bytes:
    rows = np.concatenate([samples.logits, samples.embeddings], axis=1)
    return encode_array(rows.astype("<f2"))


def _read(bundle: Bundle, file: str, count: int) -> Samples:
    where = f"{bundle.source}: {file}"
    record, classes = _record(bundle), len(bundle.manifest.labels)
    if file not in bundle.files:
        raise BundleError(f"{where} is missing; fetch or export the bundle again")
    rows = decode_array(bundle.files[file], (classes + record.embedding,), where, np.float16)
    if len(rows) != count:
        raise BundleError(f"{where}: got {len(rows)} samples, expected {count} by the manifest")
    try:
        return Samples(rows[:, :classes], rows[:, classes:])
    except InputError as error:
        raise BundleError(f"{where}: {error}; the bundle is damaged") from error


def _card(card: str, manifest: Manifest) -> str:
    """``card`` with a last section that names the gestures."""
    card = card.partition(SECTION)[0]
    if not manifest.gestures:
        return card
    lines = [
        f"- {g.label}: {'known, and shown in' if g.label in manifest.labels else 'from'}"
        f" {g.clips} clips"
        for g in manifest.gestures
    ]
    note = "On a device, after the model was trained: the accuracy above does not tell of them.\n"
    return "\n".join([f"{card}{SECTION}", note, *lines, ""])
