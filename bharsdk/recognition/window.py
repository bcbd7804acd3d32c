"""The last seconds of one person: a ring of landmarks, its gaps, and when the model runs.

The ring keeps the feature window, the longest gap that features may bridge before it, and one frame
more, so that a gap at the window's beginning is bridged as one in its middle.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.errors import InputError, assert_never
from bharsdk.landmarks.landmarks import BODY_SHAPE, HANDS_SHAPE, Landmarks, LandmarkSequence
from bharsdk.landmarks.partial import is_body, is_hand

__all__ = ["Hop", "LandmarkWindow"]

INITIAL_FRAMES = 128
"""Room for two windows of a 30 fps camera; a faster source makes the ring grow."""
ROUNDING_MS = 1.0
"""Containers store whole milliseconds, so a window's worth of frames may seem this much short."""


class LandmarkWindow:
    """The frames of one person, newest last, as long as a feature window may need them.

    config: gives the window's length. restart_gap_s: a pause between frames longer than this makes
    the window start anew, because features would bridge it with movement that nobody saw; so does a
    changed image aspect. subject: what must be detected for a frame to show somebody.
    """

    def __init__(
        self,
        config: FeatureConfig,
        restart_gap_s: float,
        subject: ModelInput = ModelInput.BODY,
    ) -> None:
        self._subject = subject
        self._window_ms = config.window_ms
        self._keep_ms = config.window_ms + config.max_gap_s * 1000.0
        self._gap_ms = restart_gap_s * 1000.0
        self._times: npt.NDArray[np.float64] = np.empty(INITIAL_FRAMES, np.float64)
        self._body: npt.NDArray[np.float32] = np.empty((INITIAL_FRAMES, *BODY_SHAPE), np.float32)
        self._hands: npt.NDArray[np.float32] = np.empty((INITIAL_FRAMES, *HANDS_SHAPE), np.float32)
        self._last_ms: float | None = None
        self.clear()

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def first_ms(self) -> float:
        """Capture time of the first frame since the window last started, milliseconds."""
        return self._first_ms

    @property
    def last_ms(self) -> float | None:
        """Capture time of the newest frame ever pushed, milliseconds; None before any."""
        return self._last_ms

    @property
    def span_ms(self) -> float:
        """Milliseconds from the first frame since the window last started to the newest."""
        return 0.0 if self._last_ms is None or not len(self) else self._last_ms - self._first_ms

    @property
    def is_filled(self) -> bool:
        """Whether frames reach back to the beginning of the newest feature window."""
        return len(self) > 0 and self.span_ms >= self._window_ms - ROUNDING_MS

    def check(self, landmarks: Landmarks) -> None:
        """Raise InputError unless ``landmarks`` is later than the newest frame."""
        if self._last_ms is not None and landmarks.timestamp_ms <= self._last_ms:
            raise InputError(
                f"landmarks: got timestamp {landmarks.timestamp_ms:g} ms after"
                f" {self._last_ms:g} ms, expected strictly increasing capture times"
            )

    def breaks(self, landmarks: Landmarks) -> bool:
        """Whether ``landmarks`` cannot continue this window: after a gap, or of another aspect."""
        if not len(self) or self._last_ms is None:
            return False
        paused = landmarks.timestamp_ms - self._last_ms > self._gap_ms
        return paused or landmarks.aspect != self._aspect

    def push(self, landmarks: Landmarks) -> None:
        """Append one frame and drop what no window needs any more.

        Raises InputError, unchanged, on a time that does not increase. The caller clears the window
        first when :meth:`breaks` says so.
        """
        self.check(landmarks)
        if self._stop == len(self._times):
            self._make_room()
        if not len(self):
            self._first_ms, self._aspect = landmarks.timestamp_ms, landmarks.aspect
        self._times[self._stop] = landmarks.timestamp_ms
        self._body[self._stop] = landmarks.body
        self._hands[self._stop] = landmarks.hands
        self._stop += 1
        self._last_ms = landmarks.timestamp_ms
        # One frame before the oldest needed time stays, to interpolate from.
        oldest_ms = landmarks.timestamp_ms - self._keep_ms
        while self._stop - self._start > 1 and self._times[self._start + 1] <= oldest_ms:
            self._start += 1

    def sequence(self) -> LandmarkSequence:
        """The kept frames. A view of the ring: use it before the next push."""
        kept = slice(self._start, self._stop)
        return LandmarkSequence(
            self._times[kept], self._body[kept], self._hands[kept], self._aspect
        )

    def person_share(self) -> float:
        """Share of the window's frames that show the subject: a body, or a hand; 0 to 1."""
        if self._last_ms is None or not len(self):
            return 0.0
        times = self._times[self._start : self._stop]
        first = self._start + int(np.searchsorted(times, self._last_ms - self._window_ms))
        match self._subject:
            case ModelInput.BODY:
                seen = is_body(self._body[first : self._stop])
            case ModelInput.HANDS:
                seen = is_hand(self._hands[first : self._stop]).any(axis=1)
            case _:
                assert_never(self._subject)
        return float(np.mean(seen))

    def clear(self) -> None:
        """Drop all frames; the time of the newest stays, so time still cannot run back."""
        self._start = self._stop = 0
        self._first_ms = math.nan
        self._aspect = math.nan

    def reset(self) -> None:
        """As newly made: frames and times are forgotten."""
        self.clear()
        self._last_ms = None

    def _make_room(self) -> None:
        """Move the kept frames to the front, into larger arrays when they fill half of these."""
        kept = slice(self._start, self._stop)
        count = len(self)
        size = len(self._times) * (2 if count > len(self._times) // 2 else 1)
        for name in ("_times", "_body", "_hands"):
            old = getattr(self, name)
            new = old if size == len(old) else np.empty((size, *old.shape[1:]), old.dtype)
            new[:count] = old[kept]
            setattr(self, name, new)
        self._start, self._stop = 0, count


class Hop:
    """When the model is due: at the first frame, then every ``hop_s``, whatever the frame rate."""

    def __init__(self, hop_s: float) -> None:
        self._hop_ms = hop_s * 1000.0
        self.reset()

    def reset(self) -> None:
        """Due again at the next frame."""
        self._due_ms = -math.inf

    def is_due(self, timestamp_ms: float) -> bool:
        """Whether to run at ``timestamp_ms``; if so, the next run is one hop later.

        Runs keep to multiples of the hop, so at 15 frames a second a hop of 100 ms runs every 67 or
        133 ms and 100 ms in the mean.
        """
        if timestamp_ms < self._due_ms:
            return False
        following = self._due_ms + self._hop_ms
        self._due_ms = following if following > timestamp_ms else timestamp_ms + self._hop_ms
        return True
