"""From clips of a new gesture to a classifier that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bharsdk.classifier import Classifier
from bharsdk.enrolment import Gesture, Samples
from bharsdk.enrolment_files import gestures_of, with_gestures
from bharsdk.errors import InputError
from bharsdk.landmarks import LandmarkSequence
from bharsdk.manifest import Manifest
from bharsdk.sources.frame import Landmarker
from bharsdk.sources.opening import open_source
from bharsdk.sources.session import Session
from bharsdk.variations import features_of_variations

__all__ = ["MIN_CLIPS", "Clip", "Enrolled", "enrolled", "gestures_in", "read_clips", "without"]

MIN_CLIPS = 3
"""Fewer do not tell what of a gesture is the gesture. More than five gain little."""

Clip = str | Path | LandmarkSequence | Session
"""The path of a video or recorded session, or landmarks: one gesture, made once."""


@dataclass(frozen=True)
class Enrolled:
    """A gesture that was taught, or a label of the model that was shown too.

    alike: labels of the model that lie about as near as the gesture's own clips may, nearest first.
    What the model takes for one of them becomes the gesture only where that is far nearer, until
    this person's clips of the label were shown too (``known=True``).
    """

    label: str
    clips: int
    alike: tuple[str, ...]


def read_clips(
    clips: Sequence[Clip], landmarker: Landmarker | None = None
) -> list[tuple[str, LandmarkSequence]]:
    """(its name in messages, its landmarks) of every clip.

    Raises InputError on fewer than :data:`MIN_CLIPS`, and what opening each of them raises.
    """
    if isinstance(clips, str | Path) or len(clips) < MIN_CLIPS:
        got = 1 if isinstance(clips, str | Path) else len(clips)
        raise InputError(
            f"enroll: got {got} clips, expected a list of {MIN_CLIPS} to 5, of one gesture each"
        )
    return [_read(number, clip, landmarker) for number, clip in enumerate(clips, 1)]


def _read(number: int, clip: Clip, landmarker: Landmarker | None) -> tuple[str, LandmarkSequence]:
    name = str(clip) if isinstance(clip, str | Path) else f"clip {number}"
    if isinstance(clip, Session):
        clip = clip.sequence
    if isinstance(clip, LandmarkSequence):
        return name, clip
    with open_source(clip, landmarker) as frames:
        return name, LandmarkSequence.from_frames(frame.landmarks for frame in frames)


def enrolled(
    classifier: Classifier,
    label: str,
    clips: Sequence[tuple[str, LandmarkSequence]],
    *,
    known: bool = False,
) -> tuple[Classifier, Enrolled]:
    """``classifier`` with the gesture ``label`` beside what it knows, and what came of it.

    clips: of :func:`read_clips`. known: ``label`` is one of the model's, shown as this person makes
    it, so that gestures are told from that. Raises InputError on a label that is known already or
    cannot be one, and on a clip that shows nobody; BundleError when the bundle takes no gestures;
    BackendMissingError when its engine gives no embeddings.
    """
    manifest = classifier.bundle.manifest
    _check_label(manifest, label, known=known)
    windows = [
        features_of_variations(clip, manifest.features, manifest.subject, name)
        for name, clip in clips
    ]
    samples = Samples.joined([classifier.samples(of_clip) for of_clip in windows])
    gesture = Gesture(label, len(clips), samples)
    bundle = with_gestures(classifier.bundle, [*gestures_of(classifier.bundle), gesture])
    made = Classifier(bundle, classifier.engine)
    return made, gestures_in(made)[-1]


def gestures_in(classifier: Classifier) -> tuple[Enrolled, ...]:
    """What ``classifier`` was taught, oldest first."""
    manifest = classifier.bundle.manifest
    return tuple(
        Enrolled(g.label, g.clips, () if g.label in manifest.labels else classifier.alike(g.label))
        for g in manifest.gestures
    )


def _check_label(manifest: Manifest, label: str, *, known: bool) -> None:
    if label in [gesture.label for gesture in manifest.gestures]:
        raise InputError(f"enroll: got {label!r}, which is enrolled already: remove it first")
    if known and label not in manifest.labels:
        labels = ", ".join(manifest.labels)
        raise InputError(f"enroll: got {label!r} as a known label, expected one of {labels}")
    if not known and label in manifest.labels:
        raise InputError(
            f"enroll: got {label!r}, expected a new label: it is known by the model; to show how"
            " you make it, say so: known=True, or --known"
        )


def without(classifier: Classifier, label: str) -> Classifier:
    """``classifier`` without the gesture ``label``. Raises InputError when it has none such."""
    gestures = gestures_of(classifier.bundle)
    left = [gesture for gesture in gestures if gesture.label != label]
    if len(left) == len(gestures):
        known = ", ".join(gesture.label for gesture in gestures) or "none"
        raise InputError(f"remove: got label {label!r}, expected an enrolled gesture: {known}")
    return Classifier(with_gestures(classifier.bundle, left), classifier.engine)
