"""Outputs that were sent to nowhere come back, whoever else sends them there."""

from __future__ import annotations

import os
import threading

import pytest

from bharsdk.quiet import STDERR, quiet_outputs


def test_blocks_of_two_threads_that_overlap_give_the_output_back(
    capfd: pytest.CaptureFixture[str],
):
    """Two cameras, two landmarkers: the first to begin is the first to end."""
    both, first_has_ended = threading.Barrier(2), threading.Event()

    def second() -> None:
        with quiet_outputs(STDERR):
            both.wait(10)
            first_has_ended.wait(10)
            os.write(STDERR, b"noise\n")

    thread = threading.Thread(target=second)
    with quiet_outputs(STDERR):
        thread.start()
        both.wait(10)
    first_has_ended.set()
    thread.join()
    os.write(STDERR, b"news\n")
    assert capfd.readouterr().err == "news\n"
