"""Turn features into probabilities: the model of a bundle and the gestures enrolled beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import Bundle
from bharsdk.bundle.calibration import probabilities
from bharsdk.engines.engine import EmbeddingEngine, Engine, embedding_engine
from bharsdk.gestures.fit import Samples
from bharsdk.gestures.storage import read_enrollment
from bharsdk.recognition.features import Features

__all__ = ["Classifier"]

FloatArray = npt.NDArray[np.float32]


class Classifier:
    """A model with its gestures. Immutable; threads share it.

    Without gestures it costs what the model costs. With gestures, one pass over the network gives
    logits and embedding.

    Raises:
        BundleError: the enrollment in the bundle is damaged.
        BackendMissingError: the bundle has gestures, and the backend gives no embeddings.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._bundle, self._engine = bundle, engine
        calibration = bundle.manifest.calibration
        self._temperature = 1.0 if calibration is None else calibration.temperature
        self._enrollment, self._embedder = read_enrollment(bundle), None
        if self._enrollment is not None:
            self._embedder = embedding_engine(engine)
            self._enrollment.fit()

    @property
    def bundle(self) -> Bundle:
        """Return the model with its gestures."""
        return self._bundle

    @property
    def engine(self) -> Engine:
        """Return the loaded model that runs."""
        return self._engine

    def probabilities(self, inputs: Mapping[str, FloatArray]) -> npt.NDArray[np.float64]:
        """Return float64 [N, labels] of N windows, in the order of ``bundle.manifest``."""
        if self._enrollment is None or self._embedder is None:
            return probabilities(self._engine.run(inputs), self._temperature)
        return self._enrollment.probabilities(*self._embedder.embed(inputs))

    def samples(self, windows: Iterable[Features]) -> Samples:
        """Return logits and embeddings of ``windows``; gestures are enrolled from them.

        Raises BackendMissingError when the backend gives no embeddings.
        """
        embedder: EmbeddingEngine = embedding_engine(self._engine)
        made = [embedder.embed(window.batch()) for window in windows]
        logits, embeddings = (np.concatenate(parts) for parts in zip(*made, strict=True))
        return Samples(logits, embeddings)

    def alike(self, label: str) -> tuple[str, ...]:
        """Return the labels most like ``label`` that nobody showed, nearest first."""
        assert self._enrollment is not None
        return tuple(self._bundle.manifest.labels[i] for i in self._enrollment.alike(label))
