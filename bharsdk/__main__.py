"""``python -m bharsdk``: the command ``bhar``."""

from __future__ import annotations

import sys

from bharsdk.cli import main

if __name__ == "__main__":
    sys.exit(main())
