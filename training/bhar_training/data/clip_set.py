"""Labeled landmark clips in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import LandmarkSequence

__all__ = ["ClipSet"]


@dataclass(frozen=True, eq=False)
class ClipSet:
    """N labeled clips in memory.

    Attributes:
        sequences: the landmarks of each clip.
        labels: the label of each.
        signers: who signed, "" where the recording does not say.
        blocks: the stretch of recording, -1 where it is not known. Clips of one block must not be
            split between training and test.
    """

    sequences: tuple[LandmarkSequence, ...]
    labels: tuple[str, ...]
    signers: tuple[str, ...]
    blocks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the labels that occur, sorted."""
        return tuple(sorted(set(self.labels)))

    @property
    def people(self) -> tuple[str, ...]:
        """Return the known signers, sorted."""
        return tuple(sorted({signer for signer in self.signers if signer}))

    def take(self, indices: Sequence[int]) -> ClipSet:
        """Return the clips at ``indices``, in that order."""
        return ClipSet(
            tuple(self.sequences[i] for i in indices),
            tuple(self.labels[i] for i in indices),
            tuple(self.signers[i] for i in indices),
            tuple(self.blocks[i] for i in indices),
        )

    def where(self, keep: Callable[[int], bool]) -> ClipSet:
        """Return the clips whose index ``keep`` accepts."""
        return self.take([i for i in range(len(self)) if keep(i)])

    def of_signers(self, signers: Sequence[str]) -> ClipSet:
        """Return the clips of these signers. Raises InputError with the known ones."""
        unknown = sorted(set(signers) - set(self.signers))
        if unknown:
            known = sorted(set(self.signers))
            raise InputError(f"signers: got {unknown[0]!r}, expected some of {known}")
        return self.where(lambda i: self.signers[i] in signers)
