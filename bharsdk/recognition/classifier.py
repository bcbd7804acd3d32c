"""The model as a stream uses it: features in, probabilities out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import Bundle

__all__ = ["Classifier"]


class Classifier(Protocol):
    """A model that is ready to run. It never changes; threads may share it."""

    @property
    def bundle(self) -> Bundle:
        """The bundle of the model, with its enrolled gestures."""
        ...

    def probabilities(
        self, inputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float64]:
        """Return float64 [N, labels], in the order of ``bundle.manifest.all_labels``.

        inputs: a batch of N windows, float32 [N, C, T, V, M] by the name of the model's input.
        """
        ...
