"""Class probabilities over time -> events. Pure rules in seconds: no model, no clock.

::

    probabilities --EMA--> smoothed --enter_threshold--> candidate --min_duration_s--> START
                                    --exit_threshold for patience_s-------------------> END

A window's label describes the middle of the window. So each event time is the time of the window's
last frame minus ``delay_ms``, half a window. No event starts if the window is rejected, if its
label is not allowed, or within ``debounce_s`` after the last event of that label.
:class:`bharsdk.events.Rejection` names the rule that prevents an event.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.errors import InputError
from bharsdk.events import Event, EventPhase, Rejection

__all__ = ["Decoder"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Sign:
    """A current sign, reported or not. Its times are those of the last frame of a window."""

    index: int
    crossed_ms: float
    start_ms: float
    last_above_ms: float
    peak: float


class Decoder:
    """Turns the probabilities of one person into events. One thread at a time may use it.

    labels: names of the classes, in the order of the model. background: the label that means "no
    sign", or None; it never makes an event. delay_ms: milliseconds from the middle of a window to
    its last frame. reject_below: no event starts if the probability of its label, not smoothed, is
    lower. An event that goes on ends by ``exit_threshold`` alone. allowed: labels that may make
    events; None allows all but the background. Raises InputError when a label repeats or is
    unknown, or when a value is out of range.
    """

    def __init__(
        self,
        labels: Sequence[str],
        config: DecoderConfig,
        *,
        background: str | None = None,
        delay_ms: float = 0.0,
        reject_below: float = 0.0,
        allowed: Collection[str] | None = None,
    ) -> None:
        self._labels = tuple(labels)
        if len(set(self._labels)) != len(self._labels) or not self._labels:
            raise InputError(f"decoder: got labels {list(labels)}, expected distinct names")
        if background is not None and background not in self._labels:
            raise InputError(f"decoder: got background {background!r}, expected one of the labels")
        if not 0 <= delay_ms < math.inf:
            raise InputError(f"decoder: got delay_ms {delay_ms}, expected milliseconds >= 0")
        if not 0 <= reject_below <= 1:
            raise InputError(f"decoder: got reject_below {reject_below}, expected 0 to 1")
        unknown = sorted(set(allowed or ()) - set(self._labels))
        if unknown:
            raise InputError(
                f"decoder: got the label {unknown[0]!r}, expected one of {', '.join(self._labels)}"
            )
        self._config = config
        self._reject_below = reject_below
        self._background = background
        self._may_start = np.array(
            [
                label != background and (allowed is None or label in allowed)
                for label in self._labels
            ]
        )
        self._delay_ms = delay_ms
        self.reset()

    def reset(self) -> None:
        """Forget everything, also an open event: no END follows for it."""
        self._time_ms: float | None = None
        self._smoothed = np.zeros(len(self._labels))
        self._window = np.zeros(len(self._labels))
        self._movement = math.inf
        self._open: _Sign | None = None  # was reported
        self._candidate: _Sign | None = None  # has yet to last
        self._ended_ms: dict[int, float] = {}  # class -> the step that reported its last END

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """The smoothed probabilities, float64 [labels]; all zero before the first step."""
        return self._smoothed.copy()

    @property
    def current(self) -> tuple[str, float] | None:
        """Label and smoothed probability of the current event, or None."""
        if self._open is None:
            return None
        return self._labels[self._open.index], float(self._smoothed[self._open.index])

    @property
    def ongoing(self) -> Event | None:
        """The current event with the phase HOLD, or None."""
        return None if self._open is None else self._event(self._open, EventPhase.HOLD)

    @property
    def rejection(self) -> Rejection | None:
        """Why the most likely label makes no event now; None during an event."""
        if self._open is not None:
            return None
        if self._time_ms is None:
            return Rejection.WARMING
        best = int(np.argmax(self._smoothed))
        if (why := self._obstacle(best)) is not None:
            return why
        return Rejection.TOO_SHORT

    def step(
        self,
        timestamp_ms: float,
        probabilities: FloatArray,
        source_start_ms: float | None = None,
        movement: float = math.inf,
    ) -> list[Event]:
        """Take one more window, and return the events that it makes certain.

        timestamp_ms: capture time of the window's last frame, milliseconds. probabilities: float
        [labels], 0 to 1. source_start_ms: capture time of the first frame; a sign that fills the
        first window starts there. movement: movement in the window, in the unit of
        ``min_movement``. Raises InputError on a time that does not increase, and on probabilities
        of another shape, out of range or NaN. The state then stays as it was.
        """
        values = self._checked(timestamp_ms, probabilities)
        first = self._time_ms is None
        self._smooth(timestamp_ms, values)
        self._time_ms, self._window, self._movement = timestamp_ms, values, movement
        self._follow(timestamp_ms)
        start_ms = timestamp_ms - self._delay_ms
        if first and source_start_ms is not None:
            start_ms = source_start_ms
        self._enter(timestamp_ms, start_ms)
        return self._report(timestamp_ms)

    def flush(self, timestamp_ms: float) -> list[Event]:
        """Return the events that the end of the source makes certain, and forget everything.

        timestamp_ms: capture time of the last frame, milliseconds. An open sign ends there, because
        nothing shows that it ended earlier.
        """
        events: list[Event] = []
        sign, candidate = self._open, self._candidate
        if sign is None and candidate is not None and self._is_above(candidate):
            # It had no time to last. Beside a sign that goes on it would be a blip.
            sign = candidate
            events.append(self._event(sign, EventPhase.START))
        if sign is not None:
            alive = self._is_above(sign)
            end_ms = timestamp_ms if alive else sign.last_above_ms - self._delay_ms
            events.append(self._event(sign, EventPhase.END, end_ms))
        self.reset()
        return events

    def _checked(self, timestamp_ms: float, probabilities: FloatArray) -> npt.NDArray[np.float64]:
        if not math.isfinite(timestamp_ms) or (
            self._time_ms is not None and timestamp_ms <= self._time_ms
        ):
            raise InputError(
                f"decoder: got timestamp {timestamp_ms:g} ms after {self._time_ms} ms, expected"
                " finite, strictly increasing capture times"
            )
        values = np.asarray(probabilities, np.float64)
        if values.shape != self._smoothed.shape:
            raise InputError(
                f"decoder: got probabilities {list(values.shape)}, expected [{len(self._labels)}]"
            )
        # Negated, so that NaN fails it too; the margin is rounding in the softmax.
        if not ((values >= 0) & (values <= 1 + 1e-6)).all():
            raise InputError("decoder: got a probability that is NaN or outside 0 to 1")
        return values

    def _smooth(self, timestamp_ms: float, values: npt.NDArray[np.float64]) -> None:
        tau_ms = self._config.smoothing_s * 1000.0
        if self._time_ms is None or tau_ms == 0:
            self._smoothed = values.copy()
        else:
            weight = -math.expm1((self._time_ms - timestamp_ms) / tau_ms)
            self._smoothed = self._smoothed + weight * (values - self._smoothed)

    def _is_above(self, sign: _Sign) -> bool:
        return bool(self._smoothed[sign.index] >= self._config.exit_threshold)

    def _obstacle(self, index: int) -> Rejection | None:
        """What keeps a class from starting an event now; None if nothing does."""
        if self._labels[index] == self._background:
            return Rejection.BACKGROUND
        if not self._may_start[index]:
            return Rejection.NOT_ALLOWED
        if self._smoothed[index] < self._config.enter_threshold:
            return Rejection.LOW_SCORE
        if self._window[index] < self._reject_below:
            return Rejection.UNSURE
        if self._movement < self._config.min_movement:
            return Rejection.STILL
        if self._is_debounced(index):
            return Rejection.DEBOUNCED
        return None

    def _is_debounced(self, index: int) -> bool:
        ended_ms = self._ended_ms.get(index)
        if ended_ms is None or self._time_ms is None:
            return False
        return self._time_ms - ended_ms < self._config.debounce_s * 1000.0

    def _rival(self) -> int | None:
        """The sign that may enter now: the likeliest class, if nothing is against it."""
        best = int(np.argmax(self._smoothed))
        return best if self._obstacle(best) is None else None

    def _follow(self, timestamp_ms: float) -> None:
        """Note what the two signs do; drop a candidate that stayed low, or lost to the open one."""
        self._open, sign = (self._noted(s, timestamp_ms) for s in (self._open, self._candidate))
        if sign is not None:
            score = self._smoothed[sign.index]
            lost = self._open is not None and self._smoothed[self._open.index] > score
            self._candidate = None if lost or self._is_over(sign, timestamp_ms) else sign

    def _noted(self, sign: _Sign | None, timestamp_ms: float) -> _Sign | None:
        if sign is None or not self._is_above(sign):
            return sign
        peak = max(sign.peak, float(self._smoothed[sign.index]))
        return replace(sign, last_above_ms=timestamp_ms, peak=peak)

    def _is_over(self, sign: _Sign, timestamp_ms: float) -> bool:
        waited_ms = timestamp_ms - sign.last_above_ms
        return waited_ms > 0 and waited_ms >= self._config.patience_s * 1000.0

    def _enter(self, timestamp_ms: float, start_ms: float) -> None:
        """Make the rival the candidate, unless it is known already."""
        rival = self._rival()
        known = [sign.index for sign in (self._open, self._candidate) if sign is not None]
        if rival is not None and rival not in known:
            score = float(self._smoothed[rival])
            self._candidate = _Sign(rival, timestamp_ms, start_ms, timestamp_ms, score)

    def _report(self, timestamp_ms: float) -> list[Event]:
        """End the open sign when it stayed low or a candidate has lasted; then start that one."""
        events: list[Event] = []
        sign, candidate = self._open, self._candidate
        has_lasted = (
            candidate is not None
            and self._is_above(candidate)
            and timestamp_ms - candidate.crossed_ms >= self._config.min_duration_s * 1000.0
        )
        if sign is not None and (has_lasted or self._is_over(sign, timestamp_ms)):
            # While both were likely the newer one counts: signs do not overlap.
            crossed_ms = math.inf if candidate is None else candidate.crossed_ms
            end_ms = min(sign.last_above_ms, crossed_ms) - self._delay_ms
            events.append(self._event(sign, EventPhase.END, end_ms))
            self._ended_ms[sign.index] = timestamp_ms
            self._open = None
        if candidate is not None and has_lasted:
            events.append(self._event(candidate, EventPhase.START))
            self._open, self._candidate = candidate, None
        return events

    def _event(self, sign: _Sign, phase: EventPhase, end_ms: float | None = None) -> Event:
        start_ms = max(sign.start_ms, 0.0)
        if end_ms is not None:
            end_ms = max(end_ms, start_ms)
        return Event(self._labels[sign.index], phase, start_ms, end_ms, min(sign.peak, 1.0))
