"""What the decoder ``spelling`` makes of probabilities in which letters follow one another."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bhar_export.graph.spec import DECODERS
from bharsdk.events import Event, EventPhase
from bharsdk.recognition.decoder import Decoder

LABELS = ("-", "a", "l", "n", "o", "s")
HOP_MS = 100.0


def _events(text: str, name: str = "spelling") -> list[Event]:
    """One character for each run of the model: what it is nine tenths sure of."""
    decoder = Decoder(LABELS, DECODERS[name], background="-", delay_ms=300.0)
    events = []
    for i, letter in enumerate(text):
        probabilities = np.full(len(LABELS), 0.1 / (len(LABELS) - 1))
        probabilities[LABELS.index(letter)] = 0.9
        events += decoder.step(i * HOP_MS, probabilities)
    return events + decoder.flush((len(text) - 1) * HOP_MS)


def _spelt(text: str, name: str = "spelling") -> str:
    return "".join(e.label for e in _events(text, name) if e.phase is EventPhase.END)


def test_a_letter_held_for_two_seconds_is_one_letter() -> None:
    """It starts once and ends once, as long as it was held."""
    start, end = _events("-----" + 20 * "l" + "-----")
    assert (start.phase, end.phase) == (EventPhase.START, EventPhase.END)
    assert end.duration_ms == pytest.approx(2000, abs=150)


@pytest.mark.parametrize("flash", ["s", "ss", "-", "--", "s-"])
def test_a_held_letter_survives_a_flicker(flash: str) -> None:
    """Another letter or none for up to 0.2 s does not make it two."""
    assert _spelt("lllllll" + flash + "lllllll---") == "l"


@pytest.mark.parametrize(("gap", "spelt"), [(1, "l"), (2, "l"), (3, "ll"), (5, "ll")])
def test_the_same_letter_twice_needs_a_gap_of_0_3_s(gap: int, spelt: str) -> None:
    """A shorter gap is a flicker of one letter. The words' decoder needs 0.4 s."""
    text = "---llllll" + gap * "-" + "llllll---"
    assert _spelt(text) == spelt
    assert _spelt(text, "words") == ("ll" if gap > 3 else "l")


@pytest.mark.parametrize("hold", [4, 5, 10])
def test_letters_without_a_pause_are_told_apart(hold: int) -> None:
    """From 0.4 s a letter, in order, none over another."""
    events = _events("--" + "".join(hold * letter for letter in "nolan") + "--")
    ends = [event for event in events if event.phase is EventPhase.END]
    assert "".join(event.label for event in ends) == "nolan"
    for before, after in itertools.pairwise(ends):
        assert before.end_ms is not None
        assert before.end_ms <= after.start_ms
    phases = [event.phase for event in events]
    assert phases == [EventPhase.START, EventPhase.END] * 5


def test_a_shape_between_two_letters_is_not_spelt() -> None:
    """The hand passes through an s on its way: up to 0.2 s. Words' decoder would report it."""
    text = "--nnnnnnssoooooo--"
    assert _spelt(text) == "no"
    assert _spelt(text, "words") == "nso"


def test_a_pause_between_letters_is_no_letter() -> None:
    """However long."""
    assert _spelt("aaaaa" + 40 * "-" + "aaaaa") == "aa"
