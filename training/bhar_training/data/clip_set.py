"""Labeled landmark clips in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import LandmarkSequence

__all__ = ["ClipSet"]


@dataclass(frozen=True, eq=False)
class ClipSet:
    """N labeled clips. signers and blocks are "" and -1 where the recording does not say.

    A block is one stretch of recording: clips of one block must not be split over train and test.
    """

    sequences: tuple[LandmarkSequence, ...]
    labels: tuple[str, ...]
    signers: tuple[str, ...]
    blocks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted(set(self.labels)))

    @property
    def people(self) -> tuple[str, ...]:
        """Who is known to have signed, sorted."""
        return tuple(sorted({signer for signer in self.signers if signer}))

    def take(self, indices: Sequence[int]) -> ClipSet:
        """The clips at ``indices``, in that order."""
        return ClipSet(
            tuple(self.sequences[i] for i in indices),
            tuple(self.labels[i] for i in indices),
            tuple(self.signers[i] for i in indices),
            tuple(self.blocks[i] for i in indices),
        )

    def where(self, keep: Callable[[int], bool]) -> ClipSet:
        """The clips whose index ``keep`` accepts."""
        return self.take([i for i in range(len(self)) if keep(i)])

    def of_signers(self, signers: Sequence[str]) -> ClipSet:
        """The clips of these signers. Raises InputError naming the known ones."""
        unknown = sorted(set(signers) - set(self.signers))
        if unknown:
            known = sorted(set(self.signers))
            raise InputError(f"signers: got {unknown[0]!r}, expected some of {known}")
        return self.where(lambda i: self.signers[i] in signers)
