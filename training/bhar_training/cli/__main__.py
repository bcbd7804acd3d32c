"""``python -m bhar_training.cli``: the same as the command."""

import sys

from bhar_training.cli import main

if __name__ == "__main__":
    sys.exit(main())
