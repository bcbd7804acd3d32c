"""What a user may ask of a recognizer, named as MediaPipe's tasks name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.errors import InputError, UsageError
from bharsdk.files.limits import MAX_PERSONS
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields
from bharsdk.values.declared import Cli, Help, Range, check_ranges

if TYPE_CHECKING:
    from bharsdk.bundle.manifest import Manifest

__all__ = ["NamedOptions", "RecognizerOptions", "options_of"]


@dataclass(frozen=True)
class RecognizerOptions:
    """Say what a recognizer reports, of how many people. MediaPipe's tasks use the same names.

    score_threshold: no event starts below this smoothed probability; None: as the bundle says.
    label_allowlist: the only labels that may make events. label_denylist: labels that may make
    none. Give one of the two lists. max_results: how many of the likeliest labels a result names.
    max_persons: how many people are followed; each has a stream. min_keypoint_score: visibility, 0
    to 1, that both shoulders need for a body to count as seen. decoder: rules over time in place of
    the bundle's.

    Raises InputError on a value out of range.
    """

    score_threshold: Annotated[
        float | None,
        Range(0, 1),
        Help("no event starts below this probability"),
        Cli(metavar="P", default="the bundle's"),
    ] = None
    label_allowlist: Annotated[
        tuple[str, ...] | None,
        Help("the only labels that may make events; again for more"),
        Cli(names=("--labels", "--label-allowlist"), metavar="A,B", whole=True, default="all"),
    ] = None
    label_denylist: Annotated[
        tuple[str, ...] | None,
        Help("labels that may make no event; again for more"),
        Cli(metavar="A,B", whole=True, default="none"),
    ] = None
    max_results: Annotated[
        int, Range(1, unit="labels"), Help("how many of the likeliest a result names")
    ] = 3
    max_persons: Annotated[
        int, Range(1, MAX_PERSONS, "people"), Help("how many to follow at a time")
    ] = 1
    min_keypoint_score: Annotated[
        float,
        Range(0, 1),
        Help("visibility that both shoulders need for a body to count as seen"),
        Cli(metavar="P"),
    ] = 0.0
    decoder: DecoderConfig | None = None

    def __post_init__(self) -> None:
        check_fields(self, "options")
        check_ranges(self, "options")
        if self.label_allowlist is not None and self.label_denylist is not None:
            raise InputError(
                "options: got label_allowlist and label_denylist, expected one of the two"
            )

    def __repr__(self) -> str:
        return brief_config(self)

    def decoder_config(self, manifest: Manifest) -> DecoderConfig:
        """Return the rules over time that hold for a bundle."""
        config = manifest.decoder if self.decoder is None else self.decoder
        if self.score_threshold is None:
            return config
        enter = max(config.enter_threshold, self.score_threshold)
        return replace(config, enter_threshold=enter)

    def allowed_labels(self, manifest: Manifest) -> frozenset[str] | None:
        """Return the labels that may make events; None: all.

        Raises InputError on an unknown label.
        """
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
    """Name the same options as keyword arguments, for type checkers and editors."""

    score_threshold: float | None
    label_allowlist: Sequence[str] | None
    label_denylist: Sequence[str] | None
    max_results: int
    max_persons: int
    min_keypoint_score: float
    decoder: DecoderConfig | None


def options_of(named: NamedOptions) -> RecognizerOptions:
    """Return keyword arguments as options. Raises UsageError on an unknown name."""
    known = {field.name for field in fields(RecognizerOptions)}
    unknown = sorted(set(named) - known)
    if unknown:
        raise UsageError(
            f"recognizer: got the option {unknown[0]!r}, expected one of {', '.join(sorted(known))}"
        )
    values: dict[str, Any] = {**named}
    return RecognizerOptions(**values)
