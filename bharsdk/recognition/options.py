"""What a user may ask of a recognizer, named as MediaPipe's tasks name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.bundle.manifest import Manifest
from bharsdk.errors import InputError, UsageError
from bharsdk.files.limits import MAX_PERSONS
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields

__all__ = ["NamedOptions", "RecognizerOptions", "options_of"]


@dataclass(frozen=True)
class RecognizerOptions:
    """Raises InputError on values out of range.

    score_threshold: smoothed probability below which no event starts; None: as the bundle says.
    label_allowlist, label_denylist: the only labels that may make events, or those that may not;
    one of the two. max_results: how many of the likeliest labels a result names. max_persons: how
    many people are followed, each with a stream of their own. min_keypoint_score: visibility that
    both shoulders need for a body to count as seen, 0 to 1. decoder: rules over time in place of
    the bundle's.
    """

    score_threshold: float | None = None
    label_allowlist: tuple[str, ...] | None = None
    label_denylist: tuple[str, ...] | None = None
    max_results: int = 3
    max_persons: int = 1
    min_keypoint_score: float = 0.0
    decoder: DecoderConfig | None = None

    def __post_init__(self) -> None:
        check_fields(self, "options")
        for name in ("score_threshold", "min_keypoint_score"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"options: got {name} {value}, expected 0 to 1")
        if self.label_allowlist is not None and self.label_denylist is not None:
            raise InputError(
                "options: got label_allowlist and label_denylist, expected one of the two"
            )
        if self.max_results < 1:
            raise InputError(f"options: got max_results {self.max_results}, expected at least 1")
        if not 1 <= self.max_persons <= MAX_PERSONS:
            raise InputError(
                f"options: got max_persons {self.max_persons}, expected 1 to {MAX_PERSONS}"
            )

    def __repr__(self) -> str:
        return brief_config(self)

    def decoder_config(self, manifest: Manifest) -> DecoderConfig:
        """The rules over time that hold for a bundle."""
        config = manifest.decoder if self.decoder is None else self.decoder
        if self.score_threshold is None:
            return config
        enter = max(config.enter_threshold, self.score_threshold)
        return replace(config, enter_threshold=enter)

    def allowed_labels(self, manifest: Manifest) -> frozenset[str] | None:
        """The labels that may make events; None: all. Raises InputError on an unknown label."""
        chosen = self.label_allowlist if self.label_denylist is None else self.label_denylist
        if chosen is None:
            return None
        unknown = sorted(set(chosen) - set(manifest.all_labels))
        if unknown:
            raise InputError(
                f"options: got the label {unknown[0]!r}, expected some of"
                f" {', '.join(manifest.all_labels)}"
            )
        if self.label_denylist is None:
            return frozenset(chosen)
        return frozenset(manifest.all_labels) - frozenset(chosen)


class NamedOptions(TypedDict, total=False):
    """The same, as keyword arguments: what type checkers and editors know of them."""

    score_threshold: float | None
    label_allowlist: Sequence[str] | None
    label_denylist: Sequence[str] | None
    max_results: int
    max_persons: int
    min_keypoint_score: float
    decoder: DecoderConfig | None


def options_of(named: NamedOptions) -> RecognizerOptions:
    """Keyword arguments as options. Raises UsageError on a name that is none."""
    known = {field.name for field in fields(RecognizerOptions)}
    unknown = sorted(set(named) - known)
    if unknown:
        raise UsageError(
            f"recognizer: got the option {unknown[0]!r}, expected one of {', '.join(sorted(known))}"
        )
    values: dict[str, Any] = {**named}
    return RecognizerOptions(**values)
