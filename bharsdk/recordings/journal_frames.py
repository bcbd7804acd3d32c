"""Frames in a journal: as bytes one by one, and as arrays when it is read."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import SKELETONS, LandmarkSequence, check_aspects, shapes_of
from bharsdk.recordings.extent import person_values

__all__ = ["FRAME_HEAD", "JournalFrames", "packed", "people_in"]

FRAME_HEAD = struct.Struct("<ddB")
"""Time, aspect, people."""
F4, F8 = np.dtype("<f4"), np.dtype("<f8")
BATCH_BYTES = 1 << 20
"""Frames are taken over together: one by one, an hour would take a second more."""


def packed(frame: Frame) -> bytes:
    """``frame`` as a record holds it."""
    head = FRAME_HEAD.pack(float(frame.timestamp_ms), float(frame.aspect), len(frame.people))
    parts = [head]
    for person in frame.people:
        parts += [person.body.astype(F4).tobytes(), person.hands.astype(F4).tobytes()]
    return b"".join(parts)


def people_in(length: int, skeletons: tuple[str, str] = SKELETONS) -> int:
    """Return how many people of ``skeletons`` a record of ``length`` bytes may hold."""
    return max(0, length - FRAME_HEAD.size) // (person_values(skeletons) * F4.itemsize)


class JournalFrames:
    """Room for ``frames`` frames of at most ``people`` people, filled record by record.

    Room that is not filled takes no memory. Raises InputError on records that are no frames.
    """

    def __init__(self, frames: int, people: int, skeletons: tuple[str, str] = SKELETONS) -> None:
        self._skeletons = skeletons
        self._body_shape, self._hands_shape = shapes_of(skeletons)
        body_values, hands_values = int(np.prod(self._body_shape)), int(np.prod(self._hands_shape))
        self._body_values = body_values
        self._times = np.empty(frames, np.float64)
        self._aspects = np.empty(frames, np.float64)
        places = max(1, people)
        self._body = np.empty((places, frames, body_values), np.float32)
        self._hands = np.empty((places, frames, hands_values), np.float32)
        self._filled = 0
        self._batch: list[bytes] = []

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another frame."""
        return self._filled + len(self._batch) == len(self._times)

    def add(self, record: bytes) -> None:
        """Take the next frame."""
        if self._batch:
            length = len(self._batch[0])
            if len(record) != length or len(self._batch) * length > BATCH_BYTES:
                self._take_over()
        self._batch.append(record)

    def finish(
        self,
    ) -> tuple[LandmarkSequence, tuple[LandmarkSequence, ...], npt.NDArray[np.float64] | None]:
        """The first person, all others, and the aspects where they change."""
        self._take_over()
        if not self._filled:
            raise InputError("got a recording without a whole frame, expected at least one")
        for array in (self._times, self._body, self._hands):
            array.flags.writeable = False  # so that sequences need no copy of it
        whole = slice(self._filled)
        times, aspects = self._times[whole], self._aspects[whole]
        check_aspects(aspects)
        first, *others = (
            LandmarkSequence(
                times,
                body[whole].reshape(-1, *self._body_shape),
                hands[whole].reshape(-1, *self._hands_shape),
                float(aspects[0]),
                self._skeletons,
            )
            for body, hands in zip(self._body, self._hands, strict=True)
        )
        changes = bool((aspects != aspects[0]).any())
        return first, tuple(others), aspects if changes else None

    def _take_over(self) -> None:
        """Copy the batch, records of one length, to where its frames belong."""
        if not self._batch:
            return
        count, length = len(self._batch), len(self._batch[0])
        raw = np.frombuffer(b"".join(self._batch), np.uint8).reshape(count, length)
        people = people_in(length, self._skeletons)
        person_bytes = person_values(self._skeletons) * F4.itemsize
        if (
            length != FRAME_HEAD.size + people * person_bytes
            or (raw[:, FRAME_HEAD.size - 1] != people).any()
        ):
            raise InputError(f"damaged: got a frame of {length} bytes for other people")
        here = slice(self._filled, self._filled + count)
        self._times[here] = np.ascontiguousarray(raw[:, :8]).view(F8)[:, 0]
        self._aspects[here] = np.ascontiguousarray(raw[:, 8:16]).view(F8)[:, 0]
        if people:
            values = np.ascontiguousarray(raw[:, FRAME_HEAD.size :]).view(F4)
            values = values.reshape(count, people, -1).swapaxes(0, 1)
            self._body[:people, here] = values[..., : self._body_values]
            self._hands[:people, here] = values[..., self._body_values :]
        self._body[people:, here] = np.nan
        self._hands[people:, here] = np.nan
        self._filled += count
        self._batch.clear()
