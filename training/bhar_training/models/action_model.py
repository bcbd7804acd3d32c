"""What training, evaluation and export ask of a model.

All models share one signature. ``inputs`` are tensors by name, as :class:`InputSpec` describes::

    model(inputs) -> logits [N, classes]
    model.branches(inputs) -> (logits, logits of each branch with a loss of its own, ...)
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bharsdk.bundle.input_spec import InputSpec

__all__ = ["ActionModel", "InputSpec", "InputSpecs", "Inputs"]

Inputs: TypeAlias = Mapping[str, Tensor]
"""Name of an input -> float32 [N, C, T, V, M]. A model reads its own and ignores others."""
InputSpecs: TypeAlias = Mapping[str, InputSpec]
"""What the data has: name of an input -> its spec, in the order of the graph."""


class ActionModel(nn.Module, ABC):
    """A network from body, hands or other inputs to logits.

    reads: the names of its inputs, in the order of the graph.
    """

    reads: tuple[str, ...]

    @abstractmethod
    def branches(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return the fused logits, then those of each branch with its own loss; each [N, classes].

        inputs: tensors [N, C, T, V, M] by name, at least those of ``reads``.
        """

    @abstractmethod
    def heads(self) -> tuple[nn.Module, ...]:
        """Return the layers that classify pooled features [N, D], in the order in which they run.

        Empty where a head classifies features before they are pooled.
        """

    @abstractmethod
    def _fold(self) -> None:
        """Fold in place."""

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the fused logits [N, classes] of inputs [N, C, T, V, M] by name."""
        return self.branches(inputs)[0]

    def deploy(self) -> ActionModel:
        """Return a copy for inference that gives the same logits, with all constants folded.

        The copy is in evaluation mode; BatchNorm and DeTGC are folded into convolutions.
        """
        folded = copy.deepcopy(self).eval()
        with torch.no_grad():
            folded._fold()
        return folded.requires_grad_(False)
