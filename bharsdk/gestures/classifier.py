"""Features -> probabilities: a bundle's model, and the gestures enrolled beside it."""

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
    """Immutable, to be shared between threads. Without gestures it costs what the engine costs.

    With gestures, logits and embedding come from one pass over the network. Raises BundleError when
    the bundle's enrollment is damaged, BackendMissingError when it has gestures and the engine
    gives no embeddings.
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
        """The model, with its gestures."""
        return self._bundle

    @property
    def engine(self) -> Engine:
        """What runs the model."""
        return self._engine

    def probabilities(self, inputs: Mapping[str, FloatArray]) -> npt.NDArray[np.float64]:
        """Float64 [N, labels], in the order of ``bundle.manifest.all_labels``; inputs: a batch."""
        if self._enrollment is None or self._embedder is None:
            return probabilities(self._engine.run(inputs), self._temperature)
        return self._enrollment.probabilities(*self._embedder.embed(inputs))

    def samples(self, windows: Iterable[Features]) -> Samples:
        """What the model makes of each window; what a gesture is enrolled from.

        Raises BackendMissingError when the engine gives no embeddings.
        """
        embedder: EmbeddingEngine = embedding_engine(self._engine)
        made = [embedder.embed(window.batch()) for window in windows]
        logits, embeddings = (np.concatenate(parts) for parts in zip(*made, strict=True))
        return Samples(logits, embeddings)

    def alike(self, label: str) -> tuple[str, ...]:
        """Labels of the model much like the gesture ``label`` and not shown, nearest first."""
        assert self._enrollment is not None
        return tuple(self._bundle.manifest.labels[i] for i in self._enrollment.alike(label))
