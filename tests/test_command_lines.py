"""A wrong command line ends in one line that says got and expected, in all three commands."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from bhar_export import cli as export_cli
from bhar_training import cli as train_cli
from bharsdk import cli as run_cli
from bharsdk.cli import arguments
from bharsdk.cli.names import chosen, split
from bharsdk.cli.option import Option, options_in
from bharsdk.cli.progress import ProgressLine
from bharsdk.errors import InputError, UsageError

ROOT = Path(__file__).parents[1]
WORDS = str(ROOT / "tests" / "data" / "words.npz")
SESSION = str(ROOT / "examples" / "data" / "sessions" / "s2-a.bhar-session")
PROGRAMS = {"bhar": run_cli, "bhar-train": train_cli, "bhar-export": export_cli}

NEVER = ("", "x", "nan", "-1", "-inf", "1e400", "1" * 30, "9" * 5000, "0x10")
"""No number for any option."""
WHOLE = (*NEVER, "1.5", "inf", "1e3")
FIT = ("bhar-train", "fit", "--model", "pr-gcn", "--data", WORDS, "--out", "none")
EVAL = ("bhar-train", "eval", "none", "--data", WORDS)
FALSE = ("bhar-train", "false-events", "none", "--data", WORDS)
QAT = ("bhar-train", "qat", "none", "--data", WORDS, "--out", "none")
EXPORT = ("bhar-export", "none", "--output", "none.bhar")
NUMBERS: list[tuple[Sequence[str], str, Sequence[str]]] = [
    (("bhar", "run", "0"), "--max-frames", (*WHOLE, "0")),
    (("bhar", "run", "0"), "--score-threshold", (*NEVER, "1.01", "inf", "-0.1")),
    (("bhar", "run", "0"), "--max-persons", (*WHOLE, "0", "9")),
    (("bhar", "run", "0"), "--fps", (*NEVER, "0", "1001", "inf")),
    (("bhar", "run", "0"), "--max-results", (*WHOLE, "0")),
    (("bhar", "run", "0"), "--min-keypoint-score", (*NEVER, "1.01", "inf")),
    *(
        (("bhar", "run", "0"), option, (*NEVER, "61", "inf"))
        for option in (
            *("--smoothing", "--patience", "--min-duration", "--hop", "--restart-gap"),
            *("--debounce", "--min-movement"),
        )
    ),
    (("bhar", "run", "0"), "--enter-threshold", (*NEVER, "0", "1.01")),
    (("bhar", "run", "0"), "--exit-threshold", (*NEVER, "0", "1.01")),
    (("bhar", "run", "0"), "--slots", (*WHOLE, "0", "1001")),
    (("bhar", "run", "0"), "--max-age", ("", "x", "nan", "0", "-1", "1e400")),
    (("bhar", "run", "0"), "--retry", ("", "x", "nan", "0", "-1", "inf", "1e400")),
    (("bhar", "run", "0"), "--max-retry", ("", "x", "nan", "0", "-1", "inf", "1e400")),
    (("bhar", "run", "0"), "--wait", tuple(x for x in NEVER if set(x) - set("19"))),
    (("bhar", "run", "0"), "--reconnect-for", tuple(x for x in NEVER if set(x) - set("19"))),
    (("bhar", "record", "0", "x.bhar-session"), "--max-frames", (*WHOLE, "0")),
    (("bhar", "startup"), "--runs", (*WHOLE, "0", "1001")),
    (FIT, "--epochs", (*WHOLE, "0")),
    (FIT, "--pretrain-epochs", WHOLE),
    (FIT, "--draws", WHOLE),
    (FIT, "--batch-size", (*WHOLE, "0", "1")),
    (FIT, "--lr", (*(x for x in NEVER if set(x) - set("19")), "0", "inf")),
    (FIT, "--validation", (*NEVER, "1", "inf")),
    (FIT, "--seed", WHOLE),
    (FIT, "--window", (*NEVER, "0", "21", "inf")),
    (FIT, "--branch-loss", (*NEVER, "inf")),
    (FIT, "--stream-loss", (*NEVER, "inf")),
    (FIT, "--loss-weights", ("", "x", "nan", "-1", "inf", "1e400")),
    (FIT, "--dropout", (*NEVER, "1", "inf")),
    (FIT, "--warmup", (*NEVER, "1", "inf")),
    (FIT, "--label-smoothing", (*NEVER, "1", "inf")),
    (FIT, "--weight-decay", (*NEVER, "1e7", "inf")),
    (FIT, "--clip-norm", (*NEVER, "1e7", "inf")),
    (FIT, "--features.fps", (*NEVER, "0.5", "241", "inf")),
    (FIT, "--features.frames", (*WHOLE, "1", "4097")),
    (FIT, "--features.max-gap", (*NEVER, "11", "inf")),
    *(
        (FIT, f"--augment.{name}", (*NEVER, "1.01", "inf"))
        for name in ("crop", "stretch", "bone-length", "mirror", "lose-hand", "lose-joints")
    ),
    (FIT, "--augment.negative", (*NEVER, "1.01", "inf")),
    (FIT, "--augment.scale", (*NEVER, "1.01", "inf")),
    *(
        (FIT, f"--augment.{name}", ("", "x", "nan", "-1", "-inf", "1e400", "inf"))
        for name in (
            *("time-warp", "shift", "rotation-rad", "turn-rad", "posture", "depth", "jitter"),
            "tilt-rad",
        )
    ),
    (FIT, "--distill.weight", (*NEVER, "1.01", "inf")),
    (FIT, "--distill.temperature", ("", "x", "nan", "0", "-1", "inf", "1e400")),
    (FIT, "--threads", (*WHOLE, "0", "1025")),
    (FIT, "--devices", (*WHOLE, "0", "1025")),
    (FIT, "--fps", (*NEVER, "0", "1001", "inf")),
    (EVAL, "--fps", (*NEVER, "0", "1001", "inf")),
    (EVAL, "--drop-hands", (*NEVER, "1.01", "inf")),
    (FALSE, "--hours", (*NEVER, "0", "1001", "inf")),
    (FALSE, "--at-most", (*NEVER, "inf")),
    (FALSE, "--seed", WHOLE),
    (QAT, "--epochs", (*WHOLE, "0")),
    (QAT, "--lr", (*(x for x in NEVER if set(x) - set("19")), "0", "inf")),
    (QAT, "--batch-size", (*WHOLE, "1")),
    (QAT, "--seed", WHOLE),
    (QAT, "--threads", (*WHOLE, "0")),
    (("bhar-train", "bench"), "--batch", (*WHOLE, "0", "4097")),
    (("bhar-train", "bench"), "--threads", (*WHOLE, "0")),
    (("bhar-train", "calibrate", "none"), "--keep", (*NEVER, "0", "1.01", "inf")),
    (("bhar-train", "enrollment"), "--shots", (*WHOLE, "0")),
    (("bhar-train", "enrollment"), "--draws", (*WHOLE, "0")),
    (("bhar-train", "enrollment"), "--threads", (*WHOLE, "0")),
    (("bhar-train", "extract", "none", "--out", "none"), "--jobs", (*WHOLE, "0")),
    (("bhar-train", "reproduce", "words-s2"), "--seed", WHOLE),
    (("bhar-train", "reproduce", "words-s2"), "--seeds", (*WHOLE, "1,1", "1,", "1,x")),
    (("bhar-train", "reproduce", "words-s2"), "--threads", (*WHOLE, "0")),
    (EXPORT, "--fps", (*NEVER, "0", "1001", "inf")),
    (EXPORT, "--max-drop", (*NEVER, "100.1", "inf")),
]
OTHERS: list[tuple[Sequence[str], int, str]] = [
    # command line, exit code, what the line names
    (("bhar",), 2, "COMMAND"),
    (("bhar", "dance"), 2, "dance"),
    (("bhar", "run"), 2, "source"),
    (("bhar", "insect"), 2, "did you mean inspect?"),
    (("bhar", "run", "0", "--dance"), 2, "--dance"),
    (("bhar", "run", "0", "--max-frame", "5"), 2, "did you mean --max-frames?"),
    (("bhar", "run", "0", "--backend", "gpu"), 2, "auto, native, onnx, tflite, tensorrt; see"),
    (("bhar", "run", "0", "--labels", "a", "--label-denylist", "b"), 2, "label_denylist"),
    (("bhar", "run", SESSION, "--exit-threshold", "1", "--enter-threshold", "0.5"), 2, "exit <="),
    (("bhar", "run", SESSION, "--retry", "5", "--max-retry", "1"), 2, "max_retry_s"),
    (("bhar", "run", "0", "--json=5"), 2, "5"),
    (("bhar", "run", "0", "--m", "5"), 2, "--m"),
    (("bhar", "run", "0", "a\nb"), 2, r"a\nb"),
    (("bhar", "run", "0", "--model"), 2, "--model"),
    (("bhar", "run", "0", "--model", ""), 2, "--model"),
    (("bhar", "run", "0", "--device", "gpu"), 2, "gpu"),
    (("bhar", "run", "0", "--backpressure", "none"), 2, "none"),
    (("bhar", "run", SESSION, "--labels", ""), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", "coffee,,tea"), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", "coffee,"), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", ","), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", "coffee,beer"), 3, "thank-you"),
    (("bhar", "inspect", ""), 2, "bundle"),
    (("bhar", "verify", "asl-coffee", "--device", "x"), 2, "'x'"),
    (("bhar", "enroll", "asl-coffee-prgcn"), 2, "LABEL"),
    (("bhar", "startup", "no-such", "--runs", "1"), 3, "no-such"),
    (("bhar-train",), 2, "COMMAND"),
    (("bhar-train", "fit"), 2, "--model"),
    (("bhar-train", "dance"), 2, "dance"),
    ((*FIT, "--epoch", "1"), 2, "did you mean --epochs?"),
    ((*FIT, "--augment.scale", "0.1"), 2, "--augment.scale"),
    ((*FIT, "--protocol", "ntu60-xsub", "--augment.depth", "0.1"), 2, "--augment.depth"),
    ((*FIT, "--protocol", "ntu60-xsub", "--features.fps", "9"), 2, "--features.fps"),
    ((*FIT, "--loss-weights", "0,0,0"), 2, "one above 0"),
    ((*FIT, "--loss-weights", "1,,1"), 2, "--loss-weights"),
    ((*FIT, "--background", ""), 2, "--background"),
    ((*FIT, "--background", "a,b"), 2, "a,b"),
    ((*FIT, "--signers", ""), 2, "--signers"),
    ((*FIT, "--signers", "s1,,s2"), 2, "--signers"),
    ((*FIT, "--signers", "s9"), 3, "s9"),
    ((*FIT, "--without", ""), 2, "--without"),
    ((*FIT, "--without", "tea,"), 2, "--without"),
    ((*FIT, "--without", "beer"), 3, "beer"),
    ((*FIT, "--modalities", ""), 2, "--modalities"),
    ((*FIT, "--modalities", "joint,smell"), 2, "smell"),
    ((*FIT, "--negatives", ""), 2, "--negatives"),
    ((*FIT, "--negatives", "dance"), 2, "dance"),
    ((*FIT, "--augment", "jitter=nan"), 2, "nan"),
    ((*FIT, "--augment", "jitter=1e400"), 2, "jitter inf"),
    ((*FIT, "--augment", "jitter"), 2, "jitter"),
    ((*FIT, "--augment", "dance=1"), 2, "dance"),
    ((*FIT, "--augment", "mirror=2"), 2, "mirror"),
    ((*FIT, "--epochs", "2", "--pretrain-epochs", "2"), 2, "2 epochs"),
    ((*FIT, "--teacher", ""), 2, "--teacher"),
    ((*EVAL, "--signers", ","), 2, "--signers"),
    ((*EVAL, "--unknown", ""), 2, "--unknown"),
    ((*FALSE, "--labels", ""), 2, "--labels"),
    (("bhar-train", "extract", "a.mp4", "--out", "x", "--label", "a,b"), 2, "a,b"),
    (("bhar-train", "extract", "a.mp4", "--out", "x", "--label", "a/b"), 2, "a/b"),
    (("bhar-train", "extract", "a.mp4", "--out", "x", "--label", ""), 2, "--label"),
    (("bhar-train", "describe", ""), 2, "MODEL"),
    (("bhar-train", "describe", "dance"), 2, "dance"),
    (("bhar-export",), 2, "--output"),
    ((*EXPORT, "--target", "dance"), 2, "dance"),
    ((*EXPORT, "--device", "dance"), 2, "dance"),
    ((*EXPORT, "--calib-signers", ""), 2, "--calib-signers"),
    ((*EXPORT, "--calib-signers", "s1"), 2, "--calib"),
    ((*EXPORT, "--decoder", ""), 2, "--decoder"),
    ((*EXPORT, "--name", ""), 2, "--name"),
    ((*EXPORT, "--int8", "--precision", "mixed"), 2, "--int8"),
]

Line = Callable[[Sequence[str], int], str]


@pytest.fixture
def line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Line:
    """Run a command line in this process, expect its exit code and one line on stderr; that."""
    monkeypatch.chdir(tmp_path)

    def run(command: Sequence[str], code: int) -> str:
        program, *rest = command
        try:
            got = PROGRAMS[program].main(rest)
        except SystemExit as error:
            got = error.code  # type: ignore[assignment]
        out, err = capfd.readouterr()
        assert (got, out) == (code, ""), (command, err)
        # What was assumed of data that were read comes before.
        err = "".join(x for x in err.splitlines(True) if not x.startswith("words.npz: "))
        assert err.count("\n") == 1 and err.startswith(f"{program}: error: "), err
        assert len(err) < 2000
        assert not list(tmp_path.iterdir())
        return err

    return run


@pytest.mark.parametrize(("command", "option", "values"), NUMBERS, ids=lambda x: str(x)[:40])
def test_a_number_out_of_range_is_a_usage_error(
    command: Sequence[str], option: str, values: Sequence[str], line: Line
) -> None:
    """In every command: exit code 2 before anything is read, naming the option and the value."""
    for value in values:
        said = line([*command, f"{option}={value}"], 2)
        assert f"argument {option}: got '" in said and "expected" in said
        assert value[:40] in said


def _options(program: str) -> list[tuple[str, Option]]:
    """Every option of a program, with the full name of its command."""
    commands = PROGRAMS[program].program().commands()
    return [(name, option) for name, command, _ in commands for option in command.all_options()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_option_that_takes_a_number_is_in_the_table(program: str) -> None:
    """A new one must be added; what takes none takes text or a path.

    Options of one configuration that several commands take are in it for one of them.
    """
    known = {option for _, option, _ in NUMBERS}
    for command, option in _options(program):
        if option.kind in (int, float) and option.cli.read is None:
            assert option.name in known, (command, option.names)


@pytest.mark.parametrize(("command", "code", "named"), OTHERS, ids=lambda x: str(x)[-40:])
def test_a_wrong_command_line_is_one_line(
    command: Sequence[str], code: int, named: str, line: Line
) -> None:
    """With got and expected, and its documented exit code."""
    said = line(command, code)
    assert named in said
    assert "expected" in said


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_help_says_options_defaults_units_and_exit_codes(program: str) -> None:
    """Of the three programs and of each of their commands; nothing is longer than 100 columns."""
    found = list(PROGRAMS[program].program().commands())
    assert len(found) == {"bhar": 9, "bhar-train": 10, "bhar-export": 1}[program]
    for name, command, text in found:
        assert "exit codes:" in text, name
        assert max(map(len, text.partition("exit codes")[0].splitlines())) <= 100
        plain = " ".join(text.split())
        for option in command.all_options():
            assert option.help or option.choices or option.limits.unit or option.cli.default, option
            if not option.is_flag and not option.is_place:
                assert f" {option.name} " in plain, (name, option.name)
            if option.limits.unit:
                assert option.limits.unit in plain, (name, option.name)
            if isinstance(option.default, int | float) and not option.is_flag:
                default = option.cli.default or f"{option.default:g}"
                assert f"default {default}" in plain, (name, option.name)
    assert not any("onnx-step" in text for _, _, text in found)


@pytest.mark.parametrize("module", ["bharsdk.cli", "bhar_training.cli", "bhar_export.cli"])
def test_help_imports_nothing_heavy(module: str) -> None:
    """They are there at once."""
    code = f"""
import sys
from {module} import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = ("numpy", "onnxruntime", "rich", "torch", "onnx", "cv2", "matplotlib", "mediapipe")
print(*(name for name in heavy if name in sys.modules), file=sys.stderr)
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr.splitlines()[-1] == ""


@pytest.mark.parametrize("command", ["run", "record", "replay", "inspect", "enroll", "startup"])
def test_help_of_a_command_of_bhar_imports_no_numpy(command: str) -> None:
    """Its options are read from dataclasses that need none."""
    program = (
        "import sys; sys.modules['numpy'] = sys.modules['rich'] = None;"
        f"from bharsdk.cli import main; main(['{command}', '--help'])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_missing_package_is_exit_8_before_the_command_line_is_read() -> None:
    """One line, also in sources whose dependencies are not installed."""
    program = (
        "import sys; sys.modules['cyclopts'] = None; from bharsdk.cli import main;"
        "sys.exit(main(['models']))"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 8
    (said,) = result.stderr.splitlines()
    assert said.startswith("bhar: error: cyclopts is not installed for")


def test_what_help_repeats_is_what_it_repeats() -> None:
    """Values that stand twice, so that help needs no numpy."""
    from bhar_training.cli import calibrate, enrollment, options, reproduce
    from bhar_training.paper.recipes import ENROLLMENTS
    from bhar_training.paper.results import RESULTS_FILE
    from bharsdk.bundle.calibration import KEEP
    from bharsdk.engines.engine import Backend
    from bharsdk.landmarks.landmarks import DEFAULT_ASPECT
    from bharsdk.recordings.session_file import SUFFIX

    backends = {backend.value for backend in Backend}
    assert backends == {*arguments.BACKENDS, *arguments.HIDDEN_BACKENDS}
    assert Backend.AUTO.value == arguments.AUTO
    assert arguments.SESSION_SUFFIX == SUFFIX
    assert set(enrollment.ROWS) == set(ENROLLMENTS)
    assert reproduce.RESULTS == RESULTS_FILE
    assert (calibrate.KEEP, options.WIDE) == (KEEP, DEFAULT_ASPECT)


def test_bhar_run_has_every_option_of_its_configurations() -> None:
    """Of the recognizer, the rules over time, and the source; so has bhar record."""
    from bharsdk import DecoderConfig, RecognizerOptions, SourceConfig

    for command in ("bhar run", "bhar record"):
        paths = {option.path for name, option in _options("bhar") if name == command}
        wanted = {("options", f.name) for f in fields(RecognizerOptions) if f.name != "decoder"}
        wanted |= {("decoder", f.name) for f in fields(DecoderConfig)}
        wanted |= {("config", f.name) for f in fields(SourceConfig)}
        assert wanted <= paths


def test_bhar_train_fit_has_every_option_of_its_configurations() -> None:
    """All of TrainConfig and of what is in it, but for the window, which --causal decides."""
    from bhar_training.cli.fit import Fit
    from bhar_training.data.augment import AugmentConfig
    from bhar_training.data.skeleton_features import SkeletonAugmentConfig
    from bhar_training.models import ModelConfig
    from bhar_training.training.config import DistillConfig, TrainConfig
    from bharsdk.bundle.feature_config import FeatureConfig

    inside = {"model", "features", "augment", "distill", "quantized_from"}
    paths = {option.path for option in options_in(Fit)}
    wanted = {("training", f.name) for f in fields(TrainConfig) if f.name not in inside}
    wanted |= {("model", f.name) for f in fields(ModelConfig) if f.name != "window"}
    wanted |= {("features", f.name) for f in fields(FeatureConfig)}
    wanted |= {("augment", f.name) for f in fields(AugmentConfig)}
    wanted |= {("distill", f.name) for f in fields(DistillConfig)}
    assert wanted <= paths
    shared = {f.name for f in fields(AugmentConfig)}
    only = {("skeleton_augment", f.name) for f in fields(SkeletonAugmentConfig)}
    assert {path for path in only if path[1] not in shared} <= paths


def test_what_is_given_arrives_in_the_options() -> None:
    """A value, a list by commas and again, a flag, a rule over time; the rest is as it was."""
    from bharsdk import Backpressure, RecognizerOptions

    line = ["run", "0", "--labels", "tea,coffee", "--labels", "no", "--hop", "0.2", "--require"]
    found = run_cli.program().parse([*line, "--backpressure=wait", "--max-persons", "2"]).options
    assert found.options == RecognizerOptions(label_allowlist=("tea,coffee", "no"), max_persons=2)
    assert found.decoder == {"hop_s": 0.2}
    assert found.config == {"backpressure": Backpressure.WAIT}
    assert (found.source, found.model.require, found.json) == ("0", True, False)
    line = ["enroll", "a.bhar", "wave", "1.mp4", "2.mp4", "--known", "3.mp4"]
    found = run_cli.program().parse(line).options
    assert (found.label, found.clips, found.known) == ("wave", ("1.mp4", "2.mp4", "3.mp4"), True)
    found = train_cli.program().parse([*FIT[1:], "--features.no-presence", "--lr=1", "--lr=2"])
    assert found.options.features == {"presence": False}
    assert found.options.training == {"lr": 2.0}  # given twice, the last one counts
    found = train_cli.program().parse(["reproduce", "words-s2", "--record"])
    assert found.options.record.name == "results.json"
    found = train_cli.program().parse(["reproduce", "words-s2", "--record", "a.json"])
    assert found.options.record == Path("a.json")


OLD = [
    # an old spelling, the new one, a line with the old one
    ("--device", "--backend", ["bhar", "run", "0", "--device", "onnx-step"]),
    ("--device", "--backend", ["bhar", "enroll", "a", "--list", "--device=onnx"]),
    ("--centred", "--centered", [*FIT, "--centred"]),
    ("--stream-loss", "--branch-loss", [*FIT, "--stream-loss", "0.5"]),
    ("enrolment", "enrollment", ["bhar-train", "enrolment", "--row", "words"]),
    ("--licence", "--license", [*EXPORT, "--licence", "MIT"]),
]


@pytest.mark.parametrize(("old", "new", "command"), OLD, ids=lambda x: str(x)[:20])
def test_an_old_spelling_works_for_a_release_with_one_warning(
    old: str, new: str, command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It means what the new one means."""
    program, *line = command
    parse = PROGRAMS[program].program().parse
    found = parse(line).options
    said = f"{program}: warning: {old} is called {new} now; the next release drops {old}\n"
    assert capsys.readouterr().err == said
    assert found == parse([word.replace(old, new) for word in line]).options
    assert capsys.readouterr().err == ""


def test_a_label_with_a_comma_of_an_old_bundle_can_be_named() -> None:
    """Whole, and beside others by naming again."""
    known = ("-", "no, thanks", "tea", " milk")
    assert chosen("--labels", ["no, thanks"], known) == ("no, thanks",)
    assert chosen("--labels", ["no, thanks", "tea"], known) == ("no, thanks", "tea")
    assert chosen("--labels", ["tea, -,tea", " milk"], known) == ("tea", "-", " milk")
    assert split("--labels", ["tea,beer"], known) == ("tea", "beer")
    with pytest.raises(InputError, match="got 'no', expected some of -, no, thanks, tea"):
        chosen("--labels", ["tea,no, thanks"], known)
    with pytest.raises(UsageError, match="got 'tea,,'"):
        chosen("--labels", ["tea,,"], known)


# ---- Ctrl-C ---------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["bharsdk.cli", "bhar_training.cli", "bhar_export.cli"])
def test_a_command_is_imported_before_anything_that_takes_time(module: str) -> None:
    """Nothing can catch Ctrl-C there: not even typing or argparse."""
    program = (
        f"import sys; before = set(sys.modules); import {module};"
        "print(*sorted(m for m in set(sys.modules) - before"
        " if m.split('.')[0] not in ('bharsdk', 'bhar_training', 'bhar_export')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) <= {"__future__"}


INTERRUPTED_AT = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {at!r} and self.is_first:
            Finder.is_first = False
            try:  # as compiled modules and much of Python do with what is raised in them
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            except BaseException as error:
                raise ImportError("initialization failed") from None
    is_first = True
sys.modules.pop({at!r}, None)
sys.meta_path.insert(0, Finder())
from {module} import main
sys.exit(main({rest!r}))
"""


@pytest.mark.parametrize(
    ("program", "rest", "at"),
    [
        ("bhar", ["models"], "cyclopts"),
        ("bhar", ["models"], "numpy"),
        ("bhar", ["run", SESSION, "--backend", "onnx"], "onnxruntime"),
        ("bhar-train", ["describe", "pr-gcn"], "bhar_training.paper.describe"),
        ("bhar-train", ["fit", "--model", "pr-gcn", "--data", "x", "--out", "x"], "torch"),
        ("bhar-export", ["none", "--output", "x.bhar"], "cyclopts"),
        ("bhar-export", ["none", "--output", "x.bhar"], "onnx"),
    ],
)
def test_ctrl_c_in_any_import_is_one_line_and_130(program: str, rest: list[str], at: str) -> None:
    """Also where an exception in it would be swallowed, or become an ImportError."""
    code = INTERRUPTED_AT.format(at=at, module=PROGRAMS[program].__name__, rest=rest)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 130, result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{program}: interrupted")


def test_a_signal_waits_for_the_end_of_an_import_below_the_command_alone(tmp_path: Path) -> None:
    """A command that is run by a module which is being imported is interrupted at once."""
    (tmp_path / "imported.py").write_text(
        "import os, signal, time\n"
        "from bharsdk.cli.exit_codes import exit_code_of\n"
        "def work():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(30)\n"
        "code = exit_code_of(work, 'bhar')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", "import sys, imported; sys.exit(imported.code)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (result.returncode, result.stderr) == (130, "bhar: interrupted\n")


# ---- progress -------------------------------------------------------------------------------


def test_progress_is_shown_on_terminals_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither our own line nor a bar of training leaves anything in a file or pipe."""
    from bhar_training.console.progress import progress_bar

    line = ProgressLine()
    line.show("frame 1 of 2")
    line.clear()
    assert list(progress_bar(range(3), desc="epoch", mininterval=0)) == [0, 1, 2]
    with progress_bar(total=3) as bar:
        bar.set_description("load")
        bar.update(2)
    assert capfd.readouterr().err == ""


def _on_terminal(command: list[str]) -> tuple[int, str]:
    """Exit code, and what a terminal gets that is the command's stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # EIO: everybody has closed the other end
            while part := os.read(ours, 10_000):
                text += part
    os.close(ours)
    return process.returncode, text.decode()


def test_progress_is_shown_on_a_terminal() -> None:
    """In one line, which is taken away."""
    program = (
        "from bhar_training.console.progress import progress_bar\n"
        "from bharsdk.cli.progress import ProgressLine\n"
        "line = ProgressLine(); line.show('frame 11 of 22'); line.show('frame 2'); line.clear()\n"
        "list(progress_bar(range(3), desc='epoch'))\n"
        "list(progress_bar(range(3), shown=False, desc='quiet'))\n"
    )
    code, text = _on_terminal([sys.executable, "-c", program])
    assert code == 0
    assert text.startswith("\rframe 11 of 22\rframe 2       \r       \r")
    assert "epoch: 100%" in text and "quiet" not in text


def test_wrong_data_of_an_export_is_told_before_any_bar(tmp_path: Path) -> None:
    """Also on a terminal: one line and no bar."""
    command = [
        sys.executable,
        "-m",
        "bhar_export.cli",
        "none",
        "--output",
        str(tmp_path / "x.bhar"),
    ]
    code, text = _on_terminal(command)
    assert code == 3
    assert text.startswith("bhar-export: error: none: ") and text.count("\n") == 1
