"""Every option of every command, as the programs themselves print them.

Only ``--help`` is asked, so the page does not depend on how the command lines are built.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

PROGRAMS = {
    "bhar": ("bharsdk.cli", "Run a model; record, replay, teach. Installed with `bharsdk`."),
    "bhar-train": ("bhar_training.cli", "Train and score models. Needs the extra `train`."),
    "bhar-export": ("bhar_export.cli", "Write and prove bundles. Needs the extra `export`."),
}
CANDIDATE = re.compile(r"^[\s│|]{1,6}([a-z][a-z0-9-]+)(?:\s{2,}.*)?$", re.MULTILINE)
"""A line of a help text that may begin with the name of a command."""
EXIT_CODES = re.compile(r"^exit codes:.*", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Help:
    """What ``NAME --help`` prints; name: ``bhar run``."""

    name: str
    text: str


@functools.cache
def programs_help() -> dict[str, list[Help]]:
    """Return, by program, its own help and that of each of its commands.

    Raises RuntimeError when a program does not answer.
    """
    found = {}
    for program in PROGRAMS:
        top = _help(program)
        if top is None:
            raise RuntimeError(f"{program} --help: got an error, expected its help")
        names = list(dict.fromkeys(CANDIDATE.findall(top.text)))
        with ThreadPoolExecutor(max_workers=2) as pool:
            each = pool.map(lambda name: _help(program, name), names)  # noqa: B023 used at once
            # A program without commands answers any word with its own help.
            found[program] = [top, *(x for x in each if x is not None and x.text != top.text)]
    return found


def commands_as_markdown() -> str:
    """Return a section for each program, with a part for each command."""
    parts = []
    for program, helps in programs_help().items():
        parts.append(f"## {program}\n\n{PROGRAMS[program][1]}\n")
        for one in helps:
            title = f"### {one.name}\n\n" if one.name != program else ""
            text = EXIT_CODES.sub("", one.text).rstrip()
            parts.append(f"{title}```text\n{text}\n```\n")
    return "\n".join(parts)


def _help(program: str, *command: str) -> Help | None:
    module = PROGRAMS[program][0]
    code = f"import sys; from {module} import main; sys.exit(main())"
    result = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env={
            **os.environ,
            "COLUMNS": "96",
            "LINES": "50",
            "NO_COLOR": "1",
            "TERM": "dumb",
            "PYTHONIOENCODING": "utf-8",
        },
        check=False,
    )
    if result.returncode != 0:
        return None
    return Help(" ".join((program, *command)), result.stdout.replace("-c [", f"{program} ["))
