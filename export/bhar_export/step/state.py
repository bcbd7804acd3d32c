"""State of the step form: what one frame leaves behind for the next one, as named tensors.

Nothing branches. Every frame computes all layers; what does not advance at it keeps its state, and
so its result. All state is float32, and zeros are a reset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

__all__ = ["FRAMES", "LayerState", "Memory"]

FRAMES = "frames"
"""The state that every model has, [N, 1]: how many frames came before this one."""


@dataclass(eq=False)
class Memory:
    """What a step recalls of the one before, and what it keeps for the next one, by name.

    periods: how often layers advance, in frames of the input. settled: frames after which no
    mean changes its weights any more.
    """

    recalled: Mapping[str, Tensor] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)
    periods: set[int] = field(default_factory=lambda: {1})
    settled: int = 0

    @property
    def frames(self) -> Tensor:
        """[N, 1]."""
        return self.recalled[FRAMES]

    def begin(self, states: Mapping[str, Tensor]) -> None:
        """A step from ``states``; of those that are missing, but the first, zeros are recalled."""
        self.recalled, self.kept = states, {}

    def end(self) -> dict[str, Tensor]:
        """The states that the step leaves, the number of frames first.

        That number goes round once nothing depends on more than its phase: a float32 counts to
        sixteen million, which is a week.
        """
        cycle = math.lcm(*self.periods)
        last = (math.ceil(self.settled / cycle) + 1) * cycle
        after = self.frames + 1
        states = {FRAMES: torch.where(after >= last, after - cycle, after), **self.kept}
        self.begin({})
        return states


@dataclass(frozen=True)
class LayerState:
    """The part of one layer, whose states are ``path`` and below it.

    period: frames of the input for one of the layer's. rows: of its batch for one of the model's,
    as persons are. x below is the newest frame at the layer, [N * rows, C, 1, ...].
    """

    memory: Memory
    path: str
    period: int = 1
    rows: int = 1

    def below(self, name: str) -> LayerState:
        """Of a part."""
        return replace(self, path=f"{self.path}.{name}")

    def behind(self, stride: int) -> LayerState:
        """Where one frame comes of ``stride`` of these."""
        return replace(self, period=self.period * stride)

    def of_rows(self, rows: int) -> LayerState:
        """Where ``rows`` of the batch are one of the model's."""
        return replace(self, rows=rows)

    def recent(self, x: Tensor, frames: int, *, replicate: bool = True) -> Tensor:
        """x and the ``frames - 1`` before it, [N * rows, C, frames, ...].

        replicate: before the first frame stands the first frame itself, else zeros.
        """
        if frames == 1:
            return x
        before = self._recall(x, [x.shape[0], x.shape[1], frames - 1, *x.shape[3:]])
        past = torch.where(self._of(x, self.memory.frames == 0), x, before) if replicate else before
        seen = torch.cat([past, x], dim=2)
        self._keep(self._if_due(seen[:, :, 1:], before))
        return seen

    def running_mean(self, x: Tensor, window: int) -> Tensor:
        """Of all frames at the layer (:func:`bhar_training.models.causal.running_mean`)."""
        mean = self._recall(x, x.shape)
        mean = self._if_due(mean + (x - mean) / self.count(x, window), mean)
        self._keep(mean)
        return mean

    def held(self, x: Tensor) -> Tensor:
        """x as it was when the layer last advanced."""
        held = self._if_due(x, self._recall(x, x.shape))
        self._keep(held)
        return held

    def count(self, x: Tensor, window: int) -> Tensor:
        """Frames at the layer so far, at most ``window``; broadcasts to x."""
        self.memory.settled = max(self.memory.settled, window * self.period)
        count = torch.floor(self.memory.frames / self.period) + 1
        return self._of(x, count.clamp(max=float(window)))

    def _if_due(self, new: Tensor, old: Tensor) -> Tensor:
        """``new`` at frames at which the layer advances, else ``old``."""
        self.memory.periods.add(self.period)
        if self.period == 1:
            return new
        frames = self.memory.frames
        due = torch.floor(frames / self.period) * self.period == frames
        return torch.where(self._of(new, due), new, old)

    def _of(self, x: Tensor, values: Tensor) -> Tensor:
        """Values [N, 1], spread over the rows of x."""
        return values.expand(-1, self.rows).reshape(-1, *[1] * (x.dim() - 1))

    def _recall(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        state = self.memory.recalled.get(self.path)
        if state is None:
            return x.new_zeros(shape)
        return state if self.rows == 1 else state.flatten(0, 1)

    def _keep(self, state: Tensor) -> None:
        assert self.path not in self.memory.kept, f"two states are called {self.path}"
        rows = [-1, self.rows] if self.rows > 1 else [-1]
        self.memory.kept[self.path] = state.reshape(*rows, *state.shape[1:])
