from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bhar_training.cli import main
from bhar_training.models import Fusion, ModelConfig, ModelName
from bhar_training.paper import reproduce as module
from bhar_training.paper.experiment import DataFile, Fold, Member, Metric, Recipe, Score, Target
from bhar_training.paper.recipes import RECIPES
from bhar_training.paper.reproduce import reproduce, trainings_of
from bhar_training.paper.results import Figure, Results, load_results, save_results
from bhar_training.training.config import TrainConfig
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.errors import InputError, UsageError

ROOT = Path(__file__).parents[2] / "data"
WORDS = DataFile("words.npz", "MIT", "the fixture")
S1, S2 = Fold("train-s1", ("s1",), ("s2",)), Fold("train-s2", ("s2",), ("s1",))
CONFIG = TrainConfig(
    ModelConfig(ModelName.PR_GCN),
    FeatureConfig(frames=4),
    epochs=1,
    draws=0,
    batch_size=24,
    validation=0,
)
JOINTS = replace(CONFIG, features=FeatureConfig(frames=4, modalities=(Modality.JOINT,)))
EXPERTS = replace(JOINTS, model=ModelConfig(ModelName.BHARNET_E))
TINY = Recipe(
    "tiny",
    "two signers",
    WORDS,
    (S1, S2),
    (Member("pr-gcn", CONFIG),),
    (Score("PR-GCN", ("pr-gcn",), targets=(Target(Metric.TOP1, 100, "1 / 2"),)),),
)
ENSEMBLE = Recipe(
    "ensemble",
    "a student, its teacher, both of them, and worse hands",
    WORDS,
    (S1,),
    (
        Member("teacher", JOINTS, row="shared"),
        Member("student", replace(EXPERTS, features=CONFIG.features)).taught_by("teacher"),
    ),
    (
        Score("student", ("student",)),
        Score("both", ("teacher", "student")),
        Score("both, Noisy-OR", ("teacher", "student"), fusion=Fusion.NOISY_OR),
        Score("branches by Noisy-OR", ("student",), branches=Fusion.NOISY_OR),
        Score("no hands", ("student",), drop_hands=1.0),
        Score("left lost", ("student",), lose_hand="left"),
    ),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TINY with three seeds."""
    out = tmp_path_factory.mktemp("runs")
    reproduce(TINY, ROOT, out, (0, 1, 2), say=lambda _: None)
    return out


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ENSEMBLE, trained once."""
    out = tmp_path_factory.mktemp("runs")
    reproduce(ENSEMBLE, ROOT, out, say=lambda _: None)
    return out


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """TINY is one of the rows."""
    monkeypatch.setitem(RECIPES, "tiny", TINY)


def test_three_seeds_give_figures_of_every_fold_their_mean_and_spread(done: Path) -> None:
    """With the time, the machine and the threads of the trainings."""
    result = load_results(done / "tiny" / "result.json").rows["tiny"]
    figure = result.figures["PR-GCN"]
    assert [(run.seed, run.fold) for run in figure.runs] == [
        (seed, fold) for seed in (0, 1, 2) for fold in ("train-s1", "train-s2")
    ]
    assert all(run.clips == 24 for run in figure.runs)
    top1 = [run.metrics.top1 for run in figure.runs]
    seeds = [(a + b) / 2 for a, b in zip(top1[::2], top1[1::2], strict=True)]
    assert figure.mean.top1 == pytest.approx(sum(top1) / 6, abs=0.01)
    assert figure.spread is not None
    assert figure.spread.min == pytest.approx(min(seeds), abs=0.01)
    assert figure.spread.max == pytest.approx(max(seeds), abs=0.01)
    assert figure.mean.background_recall is not None
    assert result.seconds is not None and result.seconds > 0
    assert result.machines[0].processor and result.machines[0].threads


def test_a_finished_training_is_not_repeated(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures, no epoch trained, and it says so."""
    from bhar_training.training import trainer

    monkeypatch.setattr(trainer, "_train_epoch", lambda *_: pytest.fail("trained again"))
    before = load_results(done / "tiny" / "result.json")
    said: list[str] = []
    result = reproduce(TINY, ROOT, done, (0, 1, 2), say=said.append)
    assert Results({"tiny": result}) == before
    assert any("training 6 of 6: train-s2, pr-gcn, seed 2" in line for line in said)
    assert sum("1 of 1 epochs are there" in line for line in said) == 6


def test_an_interrupted_row_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first fold stays, the second is trained; the figures are those of an unbroken row."""
    original, folders = module.fit, list[str]()

    def stopped(*args: object, **kwargs: object) -> object:
        folders.append(str(args[2]))
        if len(folders) == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        reproduce(TINY, ROOT, tmp_path)
    weights = tmp_path / "tiny/train-s1/pr-gcn-seed0/checkpoint/model.safetensors"
    before = weights.read_bytes()
    reproduce(TINY, ROOT, tmp_path)
    assert weights.read_bytes() == before
    assert folders[1] == folders[3]


def test_ensembles_teachers_and_degraded_clips_are_scored(ensemble: Path) -> None:
    """Every score has its figure; what is fused or degraded otherwise is another figure."""
    figures = load_results(ensemble / "ensemble" / "result.json").rows["ensemble"].figures
    assert list(figures) == sorted(score.name for score in ENSEMBLE.scores)
    errors = {name: figure.mean.calibration_error for name, figure in figures.items()}
    assert errors["both"] != errors["both, Noisy-OR"]
    assert errors["student"] != errors["branches by Noisy-OR"]
    assert len({errors["student"], errors["no hands"], errors["left lost"]}) == 3


def test_a_shared_training_lies_under_its_own_row(ensemble: Path) -> None:
    """And the student's settings name it as teacher."""
    assert (ensemble / "shared/train-s1/teacher-seed0/checkpoint/model.json").is_file()
    config = json.loads((ensemble / "ensemble/train-s1/student-seed0/config.json").read_text())
    (teacher,) = config["distill"]["teachers"]
    assert Path(teacher) == ensemble.resolve() / "shared/train-s1/teacher-seed0"


def test_a_folder_of_trainings_can_be_moved(ensemble: Path, tmp_path: Path) -> None:
    """From the machine that trained to another: nothing is trained again."""
    moved = tmp_path / "moved"
    shutil.copytree(ensemble, moved)
    before = load_results(ensemble / "ensemble" / "result.json").rows["ensemble"]
    assert reproduce(ENSEMBLE, ROOT, moved, say=lambda _: None) == before


def test_other_settings_need_another_folder(done: Path) -> None:
    """A changed recipe is not scored with the trainings of the old one."""
    other = replace(TINY, members=(Member("pr-gcn", replace(CONFIG, lr=1e-3)),))
    with pytest.raises(UsageError, match="was started with other settings"):
        reproduce(other, ROOT, done, say=lambda _: None)


def test_a_label_that_no_training_signer_made_counts_as_missed(
    tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leave-one-signer-out with signs of one signer only is scored over all of the clips."""
    load = module._load

    def without_no(data: DataFile, root: Path) -> object:
        clips = load(data, root)
        return clips.where(lambda i: clips.labels[i] != "-" or clips.signers[i] == "s2")

    monkeypatch.setattr(module, "_load", without_no)
    one_fold = replace(TINY, folds=(S1,))
    (run,) = reproduce(one_fold, ROOT, tmp_path, say=lambda _: None).figures["PR-GCN"].runs
    assert run.clips == 24
    assert run.metrics.background_recall == 0
    assert run.metrics.top1 <= 100 * 20 / 24
    shutil.rmtree(tmp_path)


@pytest.mark.usefixtures("rows")
def test_the_command_trains_scores_and_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From raw data to a figure in a results file; other rows in it stay."""
    record = tmp_path / "results.json"
    stored = load_results(Path(module.__file__).parent / "results.json")
    save_results(record, stored)
    command = ["reproduce", "tiny", "--data-root", str(ROOT), "--out", str(tmp_path / "runs")]
    assert main([*command, "--seed", "3", "--threads", "1", "--record", str(record)]) == 0
    printed = capsys.readouterr().out
    assert "tiny: training 2 of 2: train-s2, pr-gcn, seed 3" in printed
    assert "top-1 100: not reached" in printed
    found = load_results(record)
    assert found.rows["tiny"].seeds == (3,)
    assert stored.rows.items() <= found.rows.items()


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(("change", "code"), [(0.9, 0), (1.1, 6)])
def test_check_holds_a_row_to_its_recorded_figure(
    change: float,
    code: int,
    done: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Within a point of the same seeds, or exit code 6; got and stored side by side."""
    result = load_results(done / "tiny" / "result.json").rows["tiny"]
    runs = result.figures["PR-GCN"].runs
    shifted = tuple(
        replace(run, metrics=replace(run.metrics, top1=run.metrics.top1 + change)) for run in runs
    )
    path = tmp_path / "results.json"
    save_results(path, Results({"tiny": replace(result, figures={"PR-GCN": Figure.of(shifted)})}))
    monkeypatch.setattr("bhar_training.paper.results.RESULTS_FILE", path)
    command = ["reproduce", "tiny", "--data-root", str(ROOT), "--out", str(done), "--check"]
    assert main([*command, "--seeds", "0,1"]) == code
    out = capsys.readouterr().out
    assert ("within a point" in out) == (code == 0)
    assert "stored" in out


def test_check_without_a_recorded_figure_ends_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3."""
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    assert main(["reproduce", "tiny", "--check", "--out", str(tmp_path / "runs")]) == 3
    assert "expected a row that is recorded" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_unknown_row_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, naming the rows; so is no row at all."""
    for command in (["reproduce", "wrods"], ["reproduce"], ["reproduce", "words-s2", "--list"]):
        assert main(command) == 2
        assert "words-s2, words-s2-bharnet" in capsys.readouterr().err


def test_missing_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3: which file, whose recordings, under which license."""
    command = ["reproduce", "utd-mhad", "--data-root", str(tmp_path), "--out", str(tmp_path / "o")]
    assert main(command) == 3
    error = capsys.readouterr().err
    for part in (str(tmp_path / "utd_mhad/utd_mhad.npz"), "Chen et al. 2015", "research use"):
        assert part in error
    assert not (tmp_path / "o").exists()


def test_a_results_file_that_cannot_be_written_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, not after hours."""
    record = tmp_path / "none" / "results.json"
    assert main(["reproduce", "words-s2", "--record", str(record), "--out", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_recipe_that_contradicts_itself_is_refused() -> None:
    """A teacher that comes later, a score of nobody, two members of one name."""
    student = Member("student", CONFIG).taught_by("pr-gcn")
    for change in (
        {"members": (student, *TINY.members)},
        {"scores": (Score("x", ("nobody",)),)},
        {"members": TINY.members * 2},
    ):
        with pytest.raises(InputError, match="row tiny"):
            replace(TINY, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_rows_that_share_a_training_agree_on_it(recipe: Recipe) -> None:
    """The same settings, data and split wherever it is used: one fact in one place."""
    known = {
        item.folder: (item.config, item.fold, other.data)
        for other in RECIPES.values()
        for item in trainings_of(other, Path("runs"), (0,))
    }
    for item in trainings_of(recipe, Path("runs"), (0,)):
        assert known[item.folder] == (item.config, item.fold, recipe.data)
