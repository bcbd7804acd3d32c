"""``python -m bhar_export.cli``: the same as the command."""

import sys

from bhar_export.cli import main

if __name__ == "__main__":
    sys.exit(main())
