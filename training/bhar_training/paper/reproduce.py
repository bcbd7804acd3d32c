"""Go from raw data to the figures of one row of the results table.

``OUT/<row>/<fold>/<member>-seed<N>/`` is a training of :func:`bhar_training.training.trainer.fit`.
``machine.json`` in it names the machine. Rows that use the same training share it. A finished
training is not repeated, and an interrupted one goes on. ``OUT/<row>/result.json`` is the result,
in the format of :mod:`bhar_training.paper.results`.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from bhar_training.checkpoint import Checkpoint, load_checkpoint
from bhar_training.data.batches import AnyClips, features_of
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.data.degrade import drop_hands, lose_hand
from bhar_training.data.skeleton_datasets import read_skeletons
from bhar_training.data.skeletons import SkeletonClips, split_by_protocol
from bhar_training.evaluation.evaluate import branches_of, evaluate
from bhar_training.models.bharnet import fuse
from bhar_training.paper.experiment import DataFile, Fold, Recipe, Score
from bhar_training.paper.machine import Machine, machines_of, note_machine
from bhar_training.paper.results import Figure, Metrics, Result, Results, Scored, save_results
from bhar_training.training.config import TrainConfig
from bhar_training.training.trainer import fit
from bharsdk.errors import BundleError, InputError
from bharsdk.files.codec import from_json_dict, to_json_dict
from bharsdk.files.untrusted import read_json, reading
from bharsdk.files.writing import make_folder, write_text

__all__ = ["Training", "reproduce", "trainings_of"]

RESULT = "result.json"


@dataclass(frozen=True)
class Training:
    """One training of a row: its fold, where it is kept, and its settings."""

    fold: Fold
    member: str
    seed: int
    folder: Path
    config: TrainConfig

    @property
    def epochs_done(self) -> int:
        """Return how many epochs are done."""
        if not (self.folder / "checkpoint" / "model.json").is_file():
            return 0
        return load_checkpoint(self.folder).meta.epoch


def trainings_of(recipe: Recipe, out: Path, seeds: tuple[int, ...]) -> tuple[Training, ...]:
    """Return every training of a row, teachers before their students."""
    return tuple(_trainings(recipe, out.resolve(), seeds))


def _trainings(recipe: Recipe, out: Path, seeds: tuple[int, ...]) -> Iterator[Training]:
    for seed in seeds:
        for fold in recipe.folds:
            folders: dict[str, Path] = {}
            for member in recipe.members:
                row = out / (member.row or recipe.name)
                folder = row / fold.name / f"{member.name}-seed{seed}"
                folders[member.name] = folder
                distill = member.config.distill
                teachers = tuple(str(folders[name]) for name in distill.teachers)
                config = replace(
                    member.config, seed=seed, distill=replace(distill, teachers=teachers)
                )
                yield Training(fold, member.name, seed, folder, config)


def reproduce(
    recipe: Recipe,
    data_root: Path,
    out: Path,
    seeds: tuple[int, ...] = (0,),
    say: Callable[[str], None] = print,
) -> Result:
    """Train what is missing, score it, and write ``OUT/<row>/result.json``.

    Raises InputError naming the data file when it is missing, UsageError when ``out`` holds
    trainings of other settings.
    """
    clips = _load(recipe.data, data_root)
    trainings = trainings_of(recipe, out, seeds)
    for number, training in enumerate(trainings, 1):
        where = f"{training.fold.name}, {training.member}, seed {training.seed}"
        say(f"{recipe.name}: training {number} of {len(trainings)}: {where}")
        _train(training, clips, recipe.data, say)
    runs: dict[str, list[Scored]] = {score.name: [] for score in recipe.scores}
    for seed in seeds:
        for fold in recipe.folds:
            say(f"{recipe.name}: scoring {fold.name}, seed {seed}")
            mine = [item for item in trainings if (item.fold, item.seed) == (fold, seed)]
            members = {item.member: load_checkpoint(item.folder) for item in mine}
            _, test = _sides(clips, fold)
            scorer = _Scorer(members, test, mine[0].config.background)
            for score in recipe.scores:
                metrics = scorer.metrics(score)
                runs[score.name].append(Scored(fold.name, seed, len(test), metrics))
    figures = {name: Figure.of(tuple(scored)) for name, scored in runs.items()}
    result = _with_origin(figures, trainings, seeds)
    folder = out / recipe.name
    make_folder(folder)
    save_results(folder / RESULT, Results({recipe.name: result}))
    return result


def _load(data: DataFile, root: Path) -> AnyClips:
    path = root / data.path
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, expected the recordings of {data.source} (license:"
            f" {data.license}): put them there, or name the folder that has {data.path} with"
            " --data-root"
        )
    return read_skeletons(path) if data.skeletons else load_clips(path)


def _sides(clips: AnyClips, fold: Fold) -> tuple[AnyClips, AnyClips]:
    """(train, test)."""
    if isinstance(clips, SkeletonClips):
        return split_by_protocol(clips, fold.protocol)
    return clips.of_signers(fold.train), clips.of_signers(fold.test)


def _train(training: Training, clips: AnyClips, data: DataFile, say: Callable[[str], None]) -> None:
    """Start, go on, or see that it is finished, with the settings of the recipe."""
    train, _ = _sides(clips, training.fold)
    done = training.epochs_done
    epochs = training.config.epochs
    if done:
        say(f"  {done} of {epochs} epochs are there: {training.folder}")
    if done < epochs:
        note_machine(training.folder)
    _find_teachers_again(training)
    fit(train, training.config, training.folder, trained_on=Path(data.path).name, resume=True)


def _find_teachers_again(training: Training) -> None:
    """A folder of trainings that was moved: say where the teachers are now."""
    stored, config = training.folder / "config.json", training.config
    if not config.distill.teachers or not stored.is_file():
        return
    try:
        before = from_json_dict(TrainConfig, read_json(stored), stored.name)
    except InputError:
        return  # fit says what is wrong with it
    moved = replace(config, distill=replace(config.distill, teachers=before.distill.teachers))
    ours, theirs = (
        [Path(teacher).parts[-3:] for teacher in each.distill.teachers] for each in (config, before)
    )
    if before == moved != config and ours == theirs:
        write_text(stored, json.dumps(to_json_dict(config), indent=2) + "\n")


class _Scorer:
    """Members of one fold against its test side; none is asked twice for the same clips."""

    def __init__(self, members: dict[str, Checkpoint], test: AnyClips, background: str) -> None:
        self._members, self._test, self._background = members, test, background
        self._labels = next(iter(members.values())).meta.labels
        # What no training signer made cannot be learnt; it counts as missed, not as absent.
        self._known = test.where(lambda i: test.labels[i] in self._labels)
        self._said: dict[tuple[str, float, str], tuple[Tensor, ...]] = {}

    def metrics(self, score: Score) -> Metrics:
        """The figure of one score, percent."""
        test, labels, background = self._test, self._labels, self._background
        clips = _degraded(self._known, score)
        checkpoints = [self._members[name] for name in score.members]
        said = [self._logits(name, clips, score) for name in score.members]
        report = evaluate(checkpoints, clips, score.fusion, said)
        recalls = {name: value for name, value in report.recalls.items() if value == value}
        recalls |= dict.fromkeys(set(test.labels) - set(labels), 0.0)
        signs = [recall for label, recall in recalls.items() if label != background]
        nothing = recalls.get(background)
        return Metrics(
            top1=round(100 * report.top1 * len(clips) / len(test), 2),
            macro_recall_signs=round(100 * statistics.fmean(signs or [0.0]), 2),
            background_recall=None if nothing is None else round(100 * nothing, 2),
            calibration_error=round(100 * report.calibration_error, 2),
        )

    def _logits(self, name: str, clips: AnyClips, score: Score) -> Tensor:
        key, member = (name, score.drop_hands, score.lose_hand), self._members[name]
        if key not in self._said:
            inputs = features_of(clips, member.meta.features)
            self._said[key] = branches_of(member.model, inputs, progress=True)
        fused, *parts = self._said[key]
        return fused if score.branches is None else fuse(parts, score.branches)


def _degraded(clips: AnyClips, score: Score) -> AnyClips:
    if not isinstance(clips, ClipSet):
        return clips
    if score.drop_hands:
        clips = drop_hands(clips, score.drop_hands)
    return lose_hand(clips, score.lose_hand) if score.lose_hand else clips


def _with_origin(
    figures: dict[str, Figure], trainings: tuple[Training, ...], seeds: tuple[int, ...]
) -> Result:
    """Time, machines and revisions, of the trainings themselves."""
    seconds, machines, revisions = 0.0, set[Machine](), set[str]()
    for training in trainings:
        curves = training.folder / "curves.csv"
        expected = "the curves of a run: train it again"
        with reading(curves, BundleError, expected=expected), curves.open(newline="") as file:
            seconds += sum(float(row["seconds"]) for row in csv.DictReader(file))
        machines |= set(machines_of(training.folder))
        revisions.add(load_checkpoint(training.folder).meta.git_revision)
    return Result(
        figures,
        round(seconds / len(seeds), 1),
        tuple(sorted(machines, key=repr)),
        tuple(sorted(revisions - {""})),
    )
