"""What the pages of the repository promise: commands that exist, figures that were measured."""

from __future__ import annotations

import ast
import importlib
import json
import re
import statistics
import zipfile
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import bharsdk
from bhar_training.paper.results import RESULTS_FILE

from .pages import CODE, LINK, ROOT, Page

README = Page("README.md")
GUIDES = [
    README,
    *(Page(path) for path in ("CONTRIBUTING.md", "ARCHITECTURE.md", "training/README.md")),
    *(Page(path) for path in ("training/RESULTS.md", "export/README.md", "cpp_ops/README.md")),
    *(Page(path) for path in ("examples/README.md", "examples/ros2/README.md")),
]
PAGES = [*GUIDES, Page("CHANGELOG.md")]
MODULES = {
    "bhar": "bharsdk.cli",
    "bhar-train": "bhar_training.cli",
    "bhar-export": "bhar_export.cli",
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MOST_WORDS = 15.0
OTHER_WORDS = (
    *("back ends?", r"recognis\w+", r"colour\w*", "centred", "enrolment", "licence", "behaviour"),
    *(r"neighbour\w*", "learnt", r"quantis\w+"),
)


def _of(pages: list[Page]) -> Any:
    return pytest.mark.parametrize("page", pages, ids=str)


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """A function that has a program's own parser read a command line, and runs nothing."""

    def read(words: list[str]) -> None:
        module: ModuleType = importlib.import_module(MODULES[words[0]])
        monkeypatch.setattr(module, "preload", lambda *names: None)
        try:
            module._begin(words[1:])
        except SystemExit as error:  # of --help
            if error.code not in (0, None):
                raise AssertionError(f"{' '.join(words)}: exit code {error.code}") from None

    return read


def _help_of(words: list[str], capsys: pytest.CaptureFixture[str], parse: Any) -> str:
    capsys.readouterr()
    parse([*words, "--help"])
    return capsys.readouterr().out


@_of(GUIDES)
def test_every_command_of_a_page_is_one_that_its_program_accepts(
    page: Page, parse: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole ones are parsed; of a mention in a sentence, the command and its options exist."""
    for command in page.commands():
        words = list(command.words)
        if words[0] == "make":
            named = [word for word in words[1:] if "=" not in word]
            assert named and set(named) <= TARGETS, command
        elif command.is_whole:
            parse(words)
        else:
            count = 1 if len(words) == 1 or words[1].startswith("-") else 2
            text = _help_of(words[:count], capsys, parse)
            options = [word for word in words if word.startswith("--") and word != "--help"]
            assert [option for option in options if option not in text] == [], command


def test_every_option_in_a_table_of_options_is_one_of_its_command(
    parse: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A table whose first heading is  option of `bhar-train fit`."""
    found = 0
    for page in GUIDES:
        for heading, cells in page.rows():
            if not heading[0].startswith("option of "):
                continue
            text = _help_of(CODE.findall(heading[0])[0].split(), capsys, parse)
            for option in re.findall(r"--[a-z-]+", " ".join(CODE.findall(cells[0]))):
                assert option in text, f"{page}: {option}"
                found += 1
    assert found >= 15


def test_the_commands_of_the_pages_are_found() -> None:
    """So that the test above has something to parse."""
    assert len(README.commands()) >= 20
    assert sum(len(page.commands()) for page in GUIDES) >= 80


@_of(PAGES)
def test_every_link_of_a_page_leads_to_a_file_and_its_heading(page: Page) -> None:
    """Relative ones; those into the site once it is there."""
    for _, target in LINK.findall(page.prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page.path).parent / name if name else ROOT / page.path
        into_site = path.resolve().is_relative_to(ROOT / "docs") and path.suffix == ".md"
        assert path.exists(), f"{page}: {target}"
        if anchor and path.suffix == ".md" and not into_site:
            there = Page(str(path.resolve().relative_to(ROOT))).anchors()
            assert anchor in there, f"{page}: {target}"


@_of(PAGES)
def test_python_of_a_page_compiles_and_imports_public_names_alone(page: Page) -> None:
    """The first block of README runs as well: tests/test_installed.py."""
    for block in page.blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                assert node.module == "bharsdk", block
                assert {alias.name for alias in node.names} <= set(bharsdk.__all__), block


@_of([page for page in PAGES if page.path not in ("CHANGELOG.md", "examples/README.md")])
def test_files_that_a_page_names_are_there(page: Page) -> None:
    """In backticks, with a folder and a suffix: ``training/results.json``."""
    for code in CODE.findall(page.prose):
        if not re.fullmatch(r"[a-z_]+(/[\w.-]+)+\.(py|md|json|csv|cc|h|txt|bhar-session)", code):
            continue
        if re.search(r"(^|/|_)[A-Z]{2,}[._/]", code) and not code.endswith(".md"):
            continue  # NAME stands for one that the reader chooses
        places = [ROOT / code, (ROOT / page.path).parent / code]
        if code.startswith(("native/", "enrolment/", "checkpoint/")):
            continue  # inside of a bundle or a run
        assert any(place.exists() for place in places), f"{page}: {code}"


# ---- figures ----------------------------------------------------------------------------------


def _report(name: str) -> dict[str, Any]:
    with zipfile.ZipFile(ROOT / "bharsdk" / "models" / f"{name}.bhar") as bundle:
        report: dict[str, Any] = json.loads(bundle.read("report.json"))
    return report


def _recorded(row: str, score: str) -> float:
    rows = json.loads(RESULTS_FILE.read_text(encoding="utf-8"))["rows"]
    return float(rows[row]["figures"][score]["mean"]["top1"])


def _signs_found() -> float:
    """As make demo counts them."""
    spec = importlib.util.spec_from_file_location("demo_of_pages", ROOT / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    importlib.import_module("sys").modules[spec.name] = demo
    spec.loader.exec_module(demo)
    recognizer = bharsdk.Recognizer("asl-coffee-prgcn")
    sessions = sorted((ROOT / "examples" / "data" / "sessions").glob("*.bhar-session"))
    loaded = [bharsdk.load_session(path) for path in sessions]
    return float(sum(demo.compare(x.truth, recognizer.recognize_clip(x)).right for x in loaded))


MEASURED: list[tuple[str, Callable[[], float]]] = [
    (
        "bhar inspect asl-coffee-prgcn --card",
        lambda: 100 * _report("asl-coffee-prgcn")["forms"]["native-int8"]["accuracy"]["top1"],
    ),
    ("make demo", _signs_found),
    ("bhar-train reproduce words-s2-taught", lambda: _recorded("words-s2-taught", "BHaRNet-E")),
    ("bhar-train reproduce letters", lambda: _recorded("letters", "hand expert")),
    (
        "bhar inspect asl-coffee-prgcn --card",
        lambda: float(_report("asl-coffee-prgcn")["forms"]["native-int8"]["latency_ms"]),
    ),
]
"""Of each row of README's table: its command, and what that command prints."""


def test_the_figures_of_readme_are_those_that_were_recorded() -> None:
    """Five figures, each with its command in its row, rounded as they are told."""
    rows = [cells for heading, cells in README.rows() if "figure" in heading]
    assert len(rows) == len(MEASURED)
    for (_, told, command), (expected, measure) in zip(rows, MEASURED, strict=True):
        assert command == f"`{expected}`"
        number = told.split()[0]
        digits = len(number.partition(".")[2])
        assert f"{measure():.{digits}f}" == number, (told, command)


NAMES = re.compile(
    r"`[^`]*`|!?\[[^\]]*\]\([^)]*\)|INT8|ROS 2|x86-64|Apache-2\.0|float(32|64)|3\.\d+|1-D"
)
"""Code, links and names, in which a digit is no figure."""


def test_no_figure_of_readme_stands_without_a_command_or_a_link_to_results() -> None:
    """In the same paragraph, item or row."""
    for line in README.paragraphs():
        if not re.search(r"\d", NAMES.sub("", line)):
            continue
        has_command = any(
            code.split()[0] in {*MODULES, "make", "pip"} for code in CODE.findall(line)
        )
        has_results = any("results" in target.lower() for _, target in LINK.findall(line))
        assert has_command or has_results, line


# ---- words ------------------------------------------------------------------------------------


@_of(PAGES)
def test_sentences_are_short(page: Page) -> None:
    """On the average of a page: readers have five minutes, and many another mother tongue."""
    lengths = [len(sentence.split()) for sentence in page.sentences()]
    if len(lengths) < 5:
        pytest.skip("too few sentences to measure")
    assert statistics.mean(lengths) <= MOST_WORDS
    longest = max(page.sentences(), key=lambda sentence: len(sentence.split()))
    assert len(longest.split()) <= 35, longest


@_of(PAGES)
def test_words_are_american_and_name_one_thing(page: Page) -> None:
    """What runs a model is a backend; spelling as in the names of the code."""
    prose = CODE.sub("", page.prose)
    found = re.findall(rf"\b({'|'.join(OTHER_WORDS)})\b", prose, re.IGNORECASE)
    assert found == []
