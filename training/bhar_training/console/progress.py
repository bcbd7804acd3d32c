"""Draw progress bars on a stderr that is a terminal, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]


def progress_bar(items: Iterable[Any] | None = None, *, shown: bool = True, **settings: Any) -> Any:
    """Return a tqdm bar over ``items``. It draws nothing where stderr is a file or a pipe.

    shown: False draws nothing anywhere. settings: passed to tqdm.
    """
    return tqdm(items, disable=None if shown else True, **settings)
