"""What the reference says of formats, options and codes is what the programs do."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bharsdk import (
    Backpressure,
    BharError,
    DecoderConfig,
    DropCause,
    Event,
    EventPhase,
    LandmarkSequence,
    Rejection,
    RunState,
    Session,
    TrueEvent,
    save_session,
    shipped_bundles,
)
from bharsdk.bundle import bundle as bundle_files
from bharsdk.bundle.calibration import Calibration
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.bundle.manifest import EnrollmentRecord, Manifest
from bharsdk.cli import main
from bharsdk.engines.engine import Backend
from bharsdk.files import limits
from bharsdk.files.codec import KEY

from .site_pages import ROOT, first_column, page

SESSION = str(ROOT / "examples" / "data" / "sessions" / "s2-a.bhar-session")
COMMANDS = {
    "bhar": ["run", "record", "replay", "inspect", "verify", "models", "startup", "enroll"],
    "bhar-train": ["fit", "eval", "calibrate", "extract", "reproduce", "false-events", "qat"],
    "bhar-export": [],
}


def keys_of(config: type[Any]) -> set[str]:
    """The JSON keys of a dataclass."""
    return {field.metadata.get(KEY, field.name) for field in dataclasses.fields(config)}


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("program", COMMANDS)
def test_every_option_of_every_command_is_on_the_page(site: Path, program: str) -> None:
    """As each ``--help`` names them, with its defaults."""
    from command_help import programs_help

    text = html.unescape((site / "reference" / "commands.html").read_text(encoding="utf-8"))
    text = re.sub(r"<[^>]+>", "", text)
    helps = {one.name: one for one in programs_help()[program]}
    assert {program, *(f"{program} {name}" for name in COMMANDS[program])} <= set(helps)
    for one in helps.values():
        for option in set(re.findall(r"--[a-z][a-z0-9-]+", one.text)):
            assert option in text, (one.name, option)
        for default in re.findall(r"default:? [^\s\])]+", one.text):
            assert default in text, (one.name, default)


def test_the_json_of_a_run_has_the_keys_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of a run is an event or the summary, with just the keys that the page lists."""
    assert main(["run", SESSION, "--json", "--max-frames", "120"]) == 0
    *events, last = json_lines(capsys)
    assert events
    for event in events:
        assert list(event) == first_column(page("reference/json.md"), "event key")
    assert set(last) == {"summary"}
    assert set(last["summary"]) == set(first_column(page("reference/json.md"), "summary key"))


def test_the_json_of_a_replay_is_events_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", SESSION, "--json"]) == 0
    lines = json_lines(capsys)
    assert lines
    for line in lines:
        assert list(line) == first_column(page("reference/json.md"), "event key")


def test_the_bundle_page_lists_every_file_that_a_bundle_may_hold() -> None:
    listed = set(first_column(page("reference/bundle.md"), "file"))
    assert listed == {bundle_files.MANIFEST, *bundle_files.ALLOWED_FILES}


@pytest.mark.parametrize(
    ("heading", "config"),
    [
        ("manifest key", Manifest),
        ("features key", FeatureConfig),
        ("calibration key", Calibration),
        ("enrolment key", EnrollmentRecord),
    ],
)
def test_the_bundle_page_lists_every_key_of_the_manifest(heading: str, config: type[Any]) -> None:
    assert set(first_column(page("reference/bundle.md"), heading)) == keys_of(config)


def test_shipped_manifests_have_no_key_that_the_page_lacks() -> None:
    listed = set(first_column(page("reference/bundle.md"), "manifest key"))
    for name in shipped_bundles():
        with zipfile.ZipFile(ROOT / "bharsdk" / "models" / f"{name}.bhar") as bundle:
            assert set(json.loads(bundle.read("manifest.json"))) <= listed


def _sequence(frames: int = 3) -> LandmarkSequence:
    random = np.random.default_rng(0)
    body = random.random((frames, 33, 4), np.float32)
    hands = random.random((frames, 2, 21, 3), np.float32)
    return LandmarkSequence(np.arange(frames) * 40.0, body, hands)


def test_the_session_page_lists_every_file_and_key(tmp_path: Path) -> None:
    """Those of a session that uses all that the format has."""
    session = Session(
        _sequence(),
        truth=(TrueEvent("wave", 0.0, 40.0),),
        note="note",
        license="license",
        others=(_sequence(),),
        aspects=np.array([1.0, 1.5, 1.5]),
        events=(Event("wave", EventPhase.START, 0.0, None, 0.5),),
        model="0" * 64,
        options={},
    )
    save_session(tmp_path / "all.bhar-session", session)
    text = page("reference/session.md")
    with zipfile.ZipFile(tmp_path / "all.bhar-session") as archive:
        names = set(archive.namelist())
        header = json.loads(archive.read("session.json"))
    assert names == set(first_column(text, "file")) - {"..."}
    assert set(header) == set(first_column(text, "session key"))


@pytest.mark.parametrize(
    ("name", "heading", "members"),
    [
        ("reference/events.md", "phase", [member.name for member in EventPhase]),
        ("reference/events.md", "`Rejection`", [member.name for member in Rejection]),
        (
            "reference/events.md",
            "field",
            [field.name for field in dataclasses.fields(DecoderConfig)],
        ),
        ("reference/states.md", "state", [member.name for member in RunState]),
        ("reference/states.md", "`DropCause`", [member.name for member in DropCause]),
        ("guides/robot.md", "`backpressure`", [member.name for member in Backpressure]),
    ],
)
def test_tables_have_every_member_of_what_they_explain(
    name: str, heading: str, members: Sequence[str]
) -> None:
    """In the order of the code."""
    assert first_column(page(name), heading) == list(members)


def test_the_platforms_page_lists_every_backend_that_a_user_may_choose() -> None:
    listed = set(first_column(page("platforms.md"), "`--backend`"))
    assert listed == {b.value for b in Backend} - {"auto", "onnx-step"}


def test_every_error_stands_beside_its_exit_code(site: Path) -> None:
    from error_table import exit_codes_as_markdown

    table = exit_codes_as_markdown()
    pairs = set(re.findall(r"^\| (\d+) \| `(\w+)` \|", table, re.MULTILINE))
    errors = [BharError, *BharError.__subclasses__()]
    expected = {(str(e.exit_code), e.__name__) for e in errors if e.__module__ == "bharsdk.errors"}
    assert pairs == expected | {("130", "KeyboardInterrupt")}
    built = (site / "reference" / "exit-codes.html").read_text(encoding="utf-8")
    assert all(name in built for _, name in pairs)


def test_every_limit_is_on_the_page_with_its_unit(site: Path) -> None:
    from limit_table import limits_as_markdown

    table = limits_as_markdown()
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(limits.__all__)
    assert "| `MAX_BUNDLE_BYTES` | 64 MiB |" in table
    assert "| `MAX_LOAD_SECONDS` | 10 s |" in table
    built = (site / "reference" / "limits.html").read_text(encoding="utf-8")
    assert all(name in built for name in limits.__all__)


def test_figures_are_those_of_the_recorded_results(site: Path) -> None:
    """Every row and score of ``results.json``, and every form in the shipped bundles' reports."""
    text = re.sub(r"<[^>]+>", "|", (site / "results.html").read_text(encoding="utf-8"))
    results = ROOT / "training" / "bhar_training" / "paper" / "results.json"
    for row, result in json.loads(results.read_text(encoding="utf-8"))["rows"].items():
        assert row in text
        for figure in result["figures"].values():
            assert f"|{figure['mean']['top1']:.2f}|" in text, row
    for name in shipped_bundles():
        with zipfile.ZipFile(ROOT / "bharsdk" / "models" / f"{name}.bhar") as bundle:
            report = json.loads(bundle.read("report.json"))
        for form in report["forms"].values():
            assert f"|{100 * form['accuracy']['top1']:.1f}|" in text, name
