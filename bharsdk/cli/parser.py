"""Command lines that end in one line when they are wrong, as every other error does."""

from __future__ import annotations

import argparse
import re
import sys
from typing import NoReturn

from bharsdk.values.redaction import redacted
from bharsdk.values.terminal import one_line

__all__ = ["Parser"]

USAGE = 2
WORDS = (
    (r"invalid choice: (.*) \(choose from (.*)\)", r"got \1, expected one of \2"),
    (r"the following arguments are required: (.*)", r"got no \1, expected it"),
    (r"one of the arguments (.*) is required", r"got none of \1, expected one of them"),
    (r"unrecognized arguments: (.*)", r"got \1, expected no such argument"),
    (r"expected (one argument|at least one argument|\d+ arguments)", r"got too few, expected \1"),
    (r"ignored explicit argument (.*)", r"got the value \1, expected none"),
    (r"argument (.*): not allowed with argument (.*)", r"got \1 with \2, expected one of them"),
    (r"ambiguous option: (.*) could match (.*)", r"got \1, expected one of \2"),
)
"""What argparse says -> got and expected."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line: got, expected, and where help is.

    They repeat no password of an address.
    """

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        for said, told in WORDS:
            message, changed = re.subn(said, told, message, count=1, flags=re.DOTALL)
            if changed:
                break
        program = self.prog.split()[0]
        line = f"{program}: error: {redacted(one_line(message))}; see  {self.prog} --help"
        print(line, file=sys.stderr)
        sys.exit(USAGE)
