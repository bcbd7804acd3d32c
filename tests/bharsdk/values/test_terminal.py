"""Promises of the printing: text from outside reaches a terminal as text."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bharsdk.bundle.bundle import MODEL_CARD, REPORT, load_bundle, save_bundle
from bharsdk.cli import main
from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.values.terminal import one_line, printable

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2028\u2066\x08\r"
"""Rename the window, clear it, turn red, delete, turn the text around, go back."""
OBEYED = {sign for sign in ESCAPES if not sign.isprintable()}


@given(st.text(st.characters(), max_size=80))
def test_whatever_is_printed_moves_nothing(text: str) -> None:
    """Only new lines and tabs are left of all control characters; letters stay as they are."""
    safe = printable(text)
    controls = {sign for sign in safe if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")}
    assert controls <= {"\n", "\t"} and not set(safe) & OBEYED
    assert safe == text or not text.isprintable()
    safe.encode()
    assert printable(safe) == safe


def test_ordinary_text_stays_as_it_is() -> None:
    text = "# Wörter\n\t手 café 👩\u200d🚀 100\u00a0%\n"
    assert printable(text) == text


@pytest.mark.parametrize(
    ("option", "file"), [("--card", MODEL_CARD), ("--report", REPORT), (None, MODEL_CARD)]
)
def test_a_bundle_cannot_speak_to_the_terminal(
    presence_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str | None,
    file: str,
) -> None:
    """Neither its card nor its report nor its manifest; JSON leaves C1 controls as they are."""
    bundle = load_bundle(presence_bundle)
    text = ESCAPES if file == MODEL_CARD else '{"a": "\\u001b]0;x\\u0007\x9b31m\x7f"}'
    manifest = replace(bundle.manifest, license=ESCAPES)
    save_bundle(tmp_path / "a.bhar", manifest, {**bundle.files, file: text.encode()})
    assert main(["inspect", str(tmp_path / "a.bhar"), *([option] if option else [])]) == 0
    shown = capsys.readouterr().out
    assert "owned" in shown or "]0;x" in shown
    assert not set(shown) & OBEYED


def test_a_name_of_a_file_cannot_speak_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an error message, say."""
    for command in ("inspect", "verify", "startup"):
        assert main([command, str(tmp_path / f"a{ESCAPES}.bhar")]) in (1, 3)
        shown = capsys.readouterr()
        assert not set(shown.out + shown.err) & OBEYED


def test_whatever_a_command_prints_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Of all programs, in one place: also a name whose bytes are no text."""

    def work() -> int:
        print("a folder", ESCAPES, "\udcff", file=sys.stdout)
        return 0

    stdout = sys.stdout
    assert exit_code_of(work, "bhar-train") == 0
    assert sys.stdout is stdout
    shown = capsys.readouterr().out
    assert shown.startswith("a folder \\x1b]0;owned") and not set(shown) & OBEYED


def test_one_line_stays_one_whatever_is_in_it() -> None:
    """Errors are a line each: line breaks and tabs are written out too."""
    assert one_line("plain") == "plain"
    assert one_line("a\nb\t\x1b[2J\u2028") == r"a\nb\t\x1b[2J\u2028"
