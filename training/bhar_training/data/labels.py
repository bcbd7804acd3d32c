"""Check labels of recordings: each by itself, and all of them as a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bharsdk.values.labels import check_label

__all__ = ["checked_labels", "label_doubts", "training_doubts"]

NO_SIGN = frozenset(
    {"none", "idle", "nothing", "null", "background", "nosign", "nogesture", "noaction", "other"}
    | {"others", "neutral", "empty", "nobody", "blank"}
)
"""What people call recordings without a sign, written without spaces and small."""
FEW = 4
MANY_TIMES = 50
"""Training draws rare labels more often, by the root of their number: up to about here."""
MOST_NAMED = 5


def checked_labels(labels: Sequence[str], where: Sequence[str] | str) -> tuple[str, ...]:
    """Return ``labels`` unchanged.

    where: the place of each label, or the data set. Raises InputError with the place on text that
    is no label.
    """
    known: set[str] = set()
    for i, label in enumerate(labels):
        if label not in known:
            known.add(
                check_label(label, f"{where}: clip {i}" if isinstance(where, str) else where[i])
            )
    return tuple(labels)


def label_doubts(labels: Sequence[str]) -> list[str]:
    """Return what is odd about the labels themselves: two that differ only in writing."""
    written: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        written.setdefault(_plain(label) or label, []).append(label)
    return [
        f"labels {', '.join(map(repr, same))} differ in case, spaces or dashes only: they are"
        " learnt as different signs"
        for same in written.values()
        if len(same) > 1
    ]


def training_doubts(labels: Sequence[str], background: str, *, added: bool = False) -> list[str]:
    """Return what is odd about labels that a model is to learn.

    background: the label that means "no sign". added: made negatives are learned under that label.
    """
    counts = Counter(labels)
    classes = len(counts) + (added and background not in counts)
    found = []
    if classes < 2:
        found.append(
            f"got one label, {next(iter(counts))!r}: a model that knows no other always answers it,"
            " and top-1 is 100 % whatever it learns: record others, or give  --add-background"
        )
    other = [label for label in sorted(counts) if _plain(label) in NO_SIGN and label != background]
    if other:
        found.append(
            f"label {other[0]!r} looks like 'no sign', which is {background!r} here: give "
            f" --background {other[0]}  if it is, or it is learnt and reported as a sign"
        )
    few = [label for label, count in sorted(counts.items()) if count < FEW]
    if few:
        rest = f" and {len(few) - MOST_NAMED} more" if len(few) > MOST_NAMED else ""
        found.append(
            f"fewer than {FEW} clips of {', '.join(map(repr, few[:MOST_NAMED]))}{rest}: too few to"
            " learn a sign from, and to hold any out"
        )
    (most, largest), *_ = counts.most_common(1)
    least = min(counts, key=lambda label: counts[label])
    if largest > MANY_TIMES * counts[least]:
        found.append(
            f"{largest} clips of {most!r} and {counts[least]} of {least!r}: so rare a label is"
            " hardly learnt"
        )
    return found


def _plain(label: str) -> str:
    return "".join(sign for sign in label.casefold() if sign not in " _-")
