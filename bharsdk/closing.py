"""What is closed at the end of a ``with`` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

__all__ = ["Closing"]

T = TypeVar("T", bound="Closing")


class Closing(ABC):
    """Base of what holds a file, a camera or threads: ``with`` closes it, also after an error."""

    @abstractmethod
    def close(self) -> None:
        """Release what it holds. A second call does nothing."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
