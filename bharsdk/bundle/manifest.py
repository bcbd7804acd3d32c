"""The manifest of a bundle: what the model is, and the size and sha256 of every other file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

from bharsdk.bundle.calibration import Calibration
from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.bundle.enrollment_cost import check_fitting_cost
from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.bundle.precision import Precision
from bharsdk.errors import BundleError, IncompatibleError, InputError
from bharsdk.files.codec import KEY, from_json_dict, to_json_dict
from bharsdk.files.limits import (
    MAX_GESTURES,
    MAX_INPUT_VALUES,
    MAX_JSON_BYTES,
    MAX_LABELS,
    MAX_MANIFEST_BYTES,
)
from bharsdk.files.untrusted import parse_json
from bharsdk.landmarks.skeleton import (
    MEDIAPIPE_BODY25,
    MEDIAPIPE_HAND21,
    Skeleton,
    skeleton_by_name,
)
from bharsdk.values.brief import brief

__all__ = [
    "FORMAT_VERSION",
    "EnrollmentRecord",
    "FileRecord",
    "GestureRecord",
    "Manifest",
    "Precision",
    "encode_manifest",
    "parse_manifest",
    "parse_object",
]

FORMAT_VERSION = 1
LATER_KEYS, LATER_DECODER_KEYS = ("inputs",), ("debounce_s", "min_movement")
"""Optional keys that an older bharsdk refuses: written only where they say something."""


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and sha256, lower-case hex, of one file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """Return the record of ``data``."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class GestureRecord:
    """An enrolled gesture, or a label of the model that a person showed.

    Attributes:
        clips: how many clips were shown.
        samples: how many rows of ``enrolment/gestures.npy`` are its own.
    """

    label: str
    clips: int
    samples: int


@dataclass(frozen=True)
class EnrollmentRecord:
    """What a bundle stores for enrollment (:mod:`bharsdk.gestures.storage`).

    Attributes:
        embedding: how many numbers an embedding has.
        known: how many samples each label of the model has, in the order of the labels.
        gestures: the enrolled gestures, in the order of their probabilities.

    Raises:
        InputError: a count is too small.
    """

    embedding: int
    known: tuple[int, ...]
    gestures: tuple[GestureRecord, ...] = ()

    def __post_init__(self) -> None:
        counts = [n for gesture in self.gestures for n in (gesture.clips, gesture.samples)]
        if self.embedding < 1 or min(self.known, default=0) < 0 or min(counts, default=1) < 1:
            raise InputError(f"got enrollment {self}, expected counts of at least 1, of known of 0")

    def __repr__(self) -> str:
        return brief(
            self, embedding=self.embedding, known=sum(self.known), gestures=len(self.gestures)
        )


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds and how to run it.

    Attributes:
        labels: class names, in the order of the logits.
        background: the label that means "no sign"; None if there is none.
        golden_tolerance: how far a logit may differ from the golden one on any machine.
        model, trained_on, license: text for people.
        tools: name -> version of the packages that exported it.
        inputs: the tensors that the graph reads.
        files: every file but the manifest; :func:`save_bundle` fills it in.
        calibration: temperature and rejection threshold; None: plain softmax, nothing is rejected.
        enrollment: samples that new gestures are compared with; None: it takes no gestures.

    Raises:
        InputError: values contradict each other.
    """

    name: str
    labels: tuple[str, ...]
    background: str | None
    features: FeatureConfig
    decoder: DecoderConfig
    precision: Precision
    model: str
    trained_on: str
    license: str = field(metadata={KEY: "licence"})
    golden_tolerance: float
    skeletons: tuple[str, str] = (MEDIAPIPE_BODY25.name, MEDIAPIPE_HAND21.name)
    inputs: tuple[ModelInput, ...] = tuple(ModelInput)
    tools: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)
    calibration: Calibration | None = None
    enrollment: EnrollmentRecord | None = field(default=None, metadata={KEY: "enrolment"})
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise InputError(f"got {len(self.labels)} labels, expected at least two, all different")
        if len(self.labels) > MAX_LABELS:
            raise InputError(f"got {len(self.labels)} labels, expected at most {MAX_LABELS}")
        self._check_enrollment()
        for text in (*self.all_labels, self.name, self.model):
            # One printable line: labels and names end up in terminals and file names.
            if not 0 < len(text) <= 100 or not text.isprintable():
                raise InputError(f"got the name {text[:100]!r}, expected 1 to 100 printable signs")
        if self.background is not None and self.background not in self.labels:
            raise InputError(f"got background {self.background!r}, expected one of the labels")
        if not 0 < self.golden_tolerance < 1e6:
            raise InputError(f"got golden_tolerance {self.golden_tolerance}, expected more than 0")
        for skeleton in self.skeletons:
            skeleton_by_name(skeleton)
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise InputError(f"got inputs {[i.value for i in self.inputs]}, expected body or hands")
        values = sum(map(math.prod, self.input_shapes.values()))
        if values > MAX_INPUT_VALUES:
            raise InputError(
                f"got windows of {values} numbers, expected at most {MAX_INPUT_VALUES}: fewer"
                " frames or modalities"
            )

    def __repr__(self) -> str:
        return brief(
            self,
            name=self.name,
            model=self.model,
            precision=self.precision.value,
            labels=len(self.labels),
            gestures=len(self.gestures) or None,
            files=len(self.files),
        )

    def _check_enrollment(self) -> None:
        if self.enrollment is not None and len(self.enrollment.known) != len(self.labels):
            raise InputError(
                f"got enrollment of {len(self.enrollment.known)} labels, expected"
                f" {len(self.labels)}"
            )
        taught = [gesture.label for gesture in self.gestures]
        if len(set(taught)) != len(taught):
            raise InputError(f"got gestures {taught[:5]}, expected all different")
        if len(taught) > MAX_GESTURES:
            raise InputError(f"got {len(taught)} gestures, expected at most {MAX_GESTURES}")
        new = [gesture for gesture in self.gestures if gesture.label not in self.labels]
        if self.enrollment is not None and new:
            samples = sum(self.enrollment.known) + sum(g.samples for g in self.gestures)
            check_fitting_cost(samples, len(self.labels), len(new), self.enrollment.embedding)

    @property
    def gestures(self) -> tuple[GestureRecord, ...]:
        """Return the enrolled gestures."""
        return () if self.enrollment is None else self.enrollment.gestures

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Return the labels of the model, then those of the gestures."""
        taught = (gesture.label for gesture in self.gestures)
        return self.labels + tuple(label for label in taught if label not in self.labels)

    @property
    def subject(self) -> ModelInput:
        """Return what must be seen of a person: the body, or a hand where no body is read."""
        return ModelInput.BODY if ModelInput.BODY in self.inputs else ModelInput.HANDS

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each input, without the batch: [C, T, V, instances]."""
        body, hand = (skeleton_by_name(name) for name in self.skeletons)
        shapes = {ModelInput.BODY: self._shape(body, 1), ModelInput.HANDS: self._shape(hand, 2)}
        return {name.value: shapes[name] for name in self.inputs}

    def _shape(self, skeleton: Skeleton, instances: int) -> tuple[int, ...]:
        return (self.features.channels, self.features.frames, skeleton.joint_count, instances)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return ``manifest`` as UTF-8 JSON; :func:`parse_manifest` reads it."""
    fields = to_json_dict(manifest)
    for name in LATER_KEYS:
        if getattr(manifest, name) == getattr(Manifest, name):
            del fields[name]
    for name in LATER_DECODER_KEYS:
        if getattr(manifest.decoder, name) == getattr(DecoderConfig, name):
            del fields["decoder"][name]
    return (json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in ``data``. Messages name it ``where``.

    Raises:
        IncompatibleError: the manifest has another format version.
        BundleError: anything else is wrong.
    """
    fields = parse_object(data, where, MAX_MANIFEST_BYTES)
    # Before anything else is interpreted: another version may mean anything by the other keys.
    version = fields.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int):
        raise BundleError(f"{where}: got no format_version, this is not a bharsdk bundle")
    if version != FORMAT_VERSION:
        raise IncompatibleError(
            f"{where}: got format_version {version!s:.20}, expected {FORMAT_VERSION}; "
            + ("upgrade bharsdk" if version > FORMAT_VERSION else "export the model again")
        )
    try:
        return from_json_dict(Manifest, fields, where)
    except InputError as error:
        message = str(error).replace("\n", " ")[:300]
        prefix = "" if message.startswith(where) else f"{where}: "
        raise BundleError(prefix + message) from error


def parse_object(data: bytes, where: str, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the JSON object in ``data``. Raises BundleError if it is none or too long."""
    value = parse_json(data, where, error=BundleError, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise BundleError(f"{where}: got a JSON {type(value).__name__}, expected an object")
    return value
