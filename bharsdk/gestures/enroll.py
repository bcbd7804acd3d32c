"""Enroll a gesture: from a few clips to a classifier that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bharsdk.errors import InputError
from bharsdk.gestures.augment import features_of_variations
from bharsdk.gestures.classifier import Classifier
from bharsdk.gestures.clips import MIN_CLIPS, Clip, check_gesture, read_clips
from bharsdk.gestures.fit import Gesture, Samples, unlike_the_others
from bharsdk.gestures.storage import gestures_of, known_samples, with_gestures
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.values.brief import brief
from bharsdk.values.labels import check_label

__all__ = [
    "MIN_CLIPS",
    "Clip",
    "Enrolled",
    "check_new_label",
    "enrolled",
    "gestures_in",
    "read_clips",
    "without",
]


@dataclass(frozen=True)
class Enrolled:
    """What was enrolled: a new gesture, or a label of the model as this person makes it.

    Attributes:
        label: its name.
        clips: how many clips were shown.
        alike: labels of the model that are about as near to the gesture as its own clips. The
            nearest comes first. The model keeps these labels unless the gesture is far nearer. Show
            clips of such a label with ``known=True`` to tell the two apart.
        unlike: clips that differ much from the others; filled in only when the gesture is enrolled.
    """

    label: str
    clips: int
    alike: tuple[str, ...]
    unlike: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return brief(self, label=self.label, clips=self.clips, alike=self.alike, unlike=self.unlike)


def enrolled(
    classifier: Classifier,
    label: str,
    clips: Sequence[tuple[str, LandmarkSequence]],
    *,
    known: bool = False,
) -> tuple[Classifier, Enrolled]:
    """Return ``classifier`` with the gesture ``label``, and a summary of what was enrolled.

    Args:
        classifier: what is extended; it stays as it is.
        label: name of the gesture.
        clips: (name, landmarks) of each clip.
        known: ``label`` is one of the model's; the clips show how this person makes it.

    Raises:
        InputError: the label is taken or cannot be one, or a clip shows nobody, nothing or several
            movements.
        BundleError: the bundle takes no gestures.
        BackendMissingError: the backend gives no embeddings.
    """
    check_new_label(classifier, label, known=known)
    manifest = classifier.bundle.manifest
    known_of_model = known_samples(classifier.bundle)
    for name, clip in clips:
        check_gesture(clip, manifest, name)
    windows = [
        features_of_variations(clip, manifest.features, manifest.subject, name)
        for name, clip in clips
    ]
    seen = [classifier.samples(of_clip) for of_clip in windows]
    gesture = Gesture(label, len(clips), Samples.joined(seen))
    bundle = with_gestures(classifier.bundle, [*gestures_of(classifier.bundle), gesture])
    made = Classifier(bundle, classifier.engine)
    others = unlike_the_others(*known_of_model, seen)
    unlike = tuple(clips[i][0] for i in others)
    return made, replace(gestures_in(made)[-1], unlike=unlike)


def gestures_in(classifier: Classifier) -> tuple[Enrolled, ...]:
    """Return what ``classifier`` was taught, oldest first."""
    manifest = classifier.bundle.manifest
    return tuple(
        Enrolled(g.label, g.clips, () if g.label in manifest.labels else classifier.alike(g.label))
        for g in manifest.gestures
    )


def check_new_label(classifier: Classifier, label: str, *, known: bool = False) -> None:
    """Raise InputError unless clips of ``label`` may be enrolled: see :func:`enrolled`."""
    manifest = classifier.bundle.manifest
    if label in [gesture.label for gesture in manifest.gestures]:
        raise InputError(f"enroll: got {label!r}, which is enrolled already: remove it first")
    if known and label not in manifest.labels:
        labels = ", ".join(manifest.labels)
        raise InputError(f"enroll: got {label!r} as a known label, expected one of {labels}")
    if not known:
        check_label(label, "enroll")
    if not known and label in manifest.labels:
        raise InputError(
            f"enroll: got {label!r}, expected a new label: it is known by the model; to show how"
            " you make it, say so: known=True, or --known"
        )


def without(classifier: Classifier, label: str) -> Classifier:
    """Return ``classifier`` without the gesture ``label``. Raises InputError if there is none."""
    gestures = gestures_of(classifier.bundle)
    left = [gesture for gesture in gestures if gesture.label != label]
    if len(left) == len(gestures):
        known = ", ".join(gesture.label for gesture in gestures) or "none"
        raise InputError(f"remove: got label {label!r}, expected an enrolled gesture: {known}")
    return Classifier(with_gestures(classifier.bundle, left), classifier.engine)
