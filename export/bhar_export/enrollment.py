"""What a bundle holds of the classes that it knows, from which new gestures are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bhar_export.graph.exported_model import ExportedModel
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.targets import Target
from bharsdk.bundle.bundle import ENROLLMENT_KNOWN
from bharsdk.bundle.manifest import EnrollmentRecord, Precision
from bharsdk.gestures.fit import Samples
from bharsdk.gestures.storage import encode_known

__all__ = ["CLIPS_OF_A_CLASS", "known_files"]

CLIPS_OF_A_CLASS = 5
"""As many as gestures are enrolled from. Ten were no better (training/RESULTS.md)."""
MAX_BYTES = 100_000
MIN_CLIPS_OF_A_CLASS = 2
"""From one alone nobody sees how a class varies."""


def known_files(
    exported_models: Sequence[ExportedModel],
    precision: Precision,
    calibration: LabeledFeatures | None,
    classes: int,
) -> tuple[EnrollmentRecord | None, dict[str, bytes]]:
    """The manifest's entry, and ``enrolment/known.npy`` by name; none where nothing embeds.

    calibration: clips that the model was trained on, or like them. Of each class a few are taken,
    evenly spread, and looked at by the native network of ``precision``, or else by its ONNX graph.
    """
    forms = {
        a.target: a for a in exported_models if a.precision is precision and a.embed is not None
    }
    form = forms.get(Target.NATIVE) or forms.get(Target.ONNX)
    if form is None or form.embed is None or calibration is None:
        return None, {}
    chosen = calibration.at(_evenly_of_each_class(calibration, CLIPS_OF_A_CLASS))
    made = [form.embed(batch) for batch in chosen.batches(form.reads)]
    logits, embeddings = (np.concatenate(parts) for parts in zip(*made, strict=True))
    row = 2 * (classes + embeddings.shape[1])
    count = max(MIN_CLIPS_OF_A_CLASS, min(CLIPS_OF_A_CLASS, MAX_BYTES // row // classes))
    kept = _evenly_of_each_class(chosen, count)
    truth = chosen.truth[kept]
    known = tuple(int(n) for n in np.bincount(truth, minlength=classes))
    samples = Samples(logits[kept], embeddings[kept])
    return EnrollmentRecord(embeddings.shape[1], known), {
        ENROLLMENT_KNOWN: encode_known(samples, truth)
    }


def _evenly_of_each_class(
    clips: LabeledFeatures, count: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Indices of at most ``count`` clips of each class, class by class."""
    found = [np.flatnonzero(clips.truth == c) for c in np.unique(clips.truth)]
    spread = [
        of_class[np.unique(np.linspace(0, len(of_class) - 1, count).round().astype(np.int64))]
        for of_class in found
    ]
    return np.concatenate(spread)
