"""Outputs that were sent to nowhere come back, whoever else sends them there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from bharsdk.process.silence import STDERR, quiet_outputs


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


PROGRAM = """
import logging, os, sys
from bharsdk.process.silence import STDERR, quiet_outputs
usual = sys.stderr
with quiet_outputs(STDERR), quiet_outputs(STDERR):
    os.write(2, b"noise\\n")
    logging.getLogger("bharsdk").warning("news")
    print("more news", file=sys.stderr)
assert sys.stderr is usual
print("last news", file=sys.stderr)
"""


def test_what_python_says_in_a_quiet_block_still_arrives():
    """A warning about one camera while another one is being opened."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines() == ["news", "more news", "last news"]
