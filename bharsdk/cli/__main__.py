"""``python -m bharsdk.cli``: the same as the command."""

import sys

from bharsdk.cli import main

if __name__ == "__main__":
    sys.exit(main())
