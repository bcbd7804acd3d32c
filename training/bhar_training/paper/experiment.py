"""The parts of a row of the results table: data, splits, trainings, scores, targets.

The rows are in :mod:`bhar_training.paper.recipes`, their figures in
:mod:`bhar_training.paper.results`. :mod:`bhar_training.paper.reproduce` goes from one to the other.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bhar_training.models import Fusion
from bhar_training.training.config import TrainConfig
from bharsdk.errors import InputError

__all__ = [
    "DataFile",
    "EnrollmentRecipe",
    "Fold",
    "Member",
    "Metric",
    "Recipe",
    "Score",
    "Target",
    "leave_one_out",
]


@dataclass(frozen=True)
class DataFile:
    """Where recordings lie, relative to the data root; their license and their makers."""

    path: str
    license: str
    source: str
    skeletons: bool = False


@dataclass(frozen=True)
class EnrollmentRecipe:
    """A model without some labels; a person whom it never saw enrolls them.

    fold: who trains, and who enrolls and is tested. without: labels left out of training.
    """

    data: DataFile
    fold: Fold
    without: tuple[str, ...]
    config: TrainConfig


@dataclass(frozen=True)
class Fold:
    """One split: by signers of landmark clips, or by a protocol of a skeleton data set."""

    name: str
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    protocol: str = ""

    def __post_init__(self) -> None:
        both = sorted(set(self.train) & set(self.test))
        if both or bool(self.protocol) == bool(self.train and self.test):
            raise InputError(
                f"fold {self.name}: got train {self.train}, test {self.test} and protocol"
                f" {self.protocol!r}, expected signers who are not on both sides, or a protocol"
            )


def leave_one_out(people: Sequence[str]) -> tuple[Fold, ...]:
    """Return one fold a person, named for who is tested."""
    return tuple(
        Fold(name, tuple(other for other in people if other != name), (name,)) for name in people
    )


@dataclass(frozen=True)
class Member:
    """One training. ``config.distill.teachers`` name members that stand before it.

    row: the row whose run it is, when several rows share one; "" is the recipe's own.
    """

    name: str
    config: TrainConfig
    row: str = ""

    def of(self, row: str) -> Member:
        """Return the same training, kept and shared under ``row``."""
        return replace(self, row=row)

    def taught_by(self, *teachers: str) -> Member:
        """Return the same training with these members as teachers."""
        distill = replace(self.config.distill, teachers=teachers)
        return replace(self, config=replace(self.config, distill=distill))


class Metric(enum.Enum):
    """What a target asks for: a field of :class:`bhar_training.paper.results.Metrics`."""

    TOP1 = "top1"
    MACRO_RECALL = "macro_recall_signs"
    BACKGROUND_RECALL = "background_recall"


@dataclass(frozen=True)
class Target:
    """A figure to reach: ``metric`` is at least ``reach`` percent.

    than: (row, score) to compare with; ``reach`` is then below 0, the points it may stay behind.
    plain: what trees and a small TCN get, as printed.
    """

    metric: Metric
    reach: float
    plain: str = ""
    than: tuple[str, str] | None = None


@dataclass(frozen=True)
class Score:
    """One figure: an ensemble of members (or one) on the test side of every fold.

    fusion: of the members. branches: of the branches inside each member; None: as trained.
    drop_hands, lose_hand: what the test clips go through (:mod:`bhar_training.data.degrade`).
    plot: its label in the picture of accuracy against cost, "" leaves it out.
    """

    name: str
    members: tuple[str, ...]
    fusion: Fusion = Fusion.MEAN
    branches: Fusion | None = None
    drop_hands: float = 0.0
    lose_hand: str = ""
    targets: tuple[Target, ...] = ()
    plot: str = ""


@dataclass(frozen=True)
class Recipe:
    """One row: from a data file, through the trainings of every fold, to its figures."""

    name: str
    title: str
    data: DataFile
    folds: tuple[Fold, ...]
    members: tuple[Member, ...]
    scores: tuple[Score, ...]

    def __post_init__(self) -> None:
        known: list[str] = []
        for member in self.members:
            for teacher in member.config.distill.teachers:
                if teacher not in known:
                    raise InputError(
                        f"row {self.name}: {member.name} is taught by {teacher!r}, expected one of"
                        f" the members before it: {known}"
                    )
            known.append(member.name)
        scored = {name for score in self.scores for name in score.members}
        for what, names in (
            ("members", known),
            ("scores", [score.name for score in self.scores]),
            ("folds", [fold.name for fold in self.folds]),
        ):
            if not names or len(set(names)) != len(names):
                raise InputError(f"row {self.name}: got {what} {names}, expected different ones")
        if not scored <= set(known):
            raise InputError(f"row {self.name}: got scores of {sorted(scored)}, expected {known}")

    def score(self, name: str) -> Score:
        """Return the score with that name."""
        (found,) = (score for score in self.scores if score.name == name)
        return found
