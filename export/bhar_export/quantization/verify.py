"""What an exported graph is worth: parity with torch, accuracy, latency."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bhar_export.graph.exported_model import ExportedModel
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_training.checkpoint import CheckpointMeta
from bhar_training.evaluation.metrics import Report, report

__all__ = [
    "Accuracy",
    "Difference",
    "Replay",
    "accuracy",
    "deciding_inputs",
    "difference",
    "latency_ms",
    "machine",
    "run_all_exported",
    "run_exported",
    "run_torch",
    "tool_versions",
]

FloatArray = npt.NDArray[np.float32]

TOOLS = (
    *("bharsdk", "torch", "onnx", "onnxscript", "onnxruntime", "numpy"),
    *("litert-torch", "ai-edge-quantizer", "ai-edge-litert", "tensorrt-rtx"),
)
DECIDING_CLIPS = 10
"""Of each class, that say by which input it is known."""
PARITY_LIMIT = 1e-4
"""Largest absolute difference of a logit, torch against what runs in float32, ..."""
ORDINARY_LOGIT = 10.0
"""... of a model whose largest is no larger than this; in proportion beyond: 1e-5 of it."""


@dataclass(frozen=True)
class Accuracy:
    """Parts of 1. top1: of all clips. macro_recall_signs: mean recall without the background.

    recalls: label -> recall, only labels that occur. clips: how many were counted. top1_of: by the
    input that decides a class (see :func:`deciding_inputs`), top-1 of the clips of such classes.
    """

    clips: int
    top1: float
    macro_recall_signs: float
    recalls: dict[str, float]
    top1_of: dict[str, float]


@dataclass(frozen=True)
class Difference:
    """Of logits from the exact ones.

    largest: absolute. limit: of that, for a form in float32. relative: root mean square, as a part
    of the exact ones' own. cosine: of all logits of all clips as one vector. One that is not finite
    has ``finite`` false, and zeros.
    """

    largest: float
    relative: float
    cosine: float
    finite: bool = True
    limit: float = PARITY_LIMIT


def run_exported(exported: ExportedModel, clips: LabeledFeatures) -> FloatArray:
    """Logits [N, classes] of ``exported``."""
    return np.concatenate([exported.run(batch) for batch in clips.batches(exported.reads)])


def run_all_exported(
    exported_models: Sequence[ExportedModel], clips: LabeledFeatures
) -> list[FloatArray]:
    """The logits of each, [N, classes]; on as many cores as there are, each on one."""
    with ThreadPoolExecutor(_cores()) as pool:
        return list(pool.map(lambda exported: run_exported(exported, clips), exported_models))


class Replay:
    """``clips`` through forms of a model while others are still made; a context.

    What makes them is Python for the most part and leaves cores free, which run what is made.
    """

    def __init__(self, clips: LabeledFeatures) -> None:
        self._clips = clips
        self._pool = ThreadPoolExecutor(_cores())
        self._found: dict[str, Future[FloatArray]] = {}

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self, form: ExportedModel) -> None:
        """Run ``form``, soon."""
        self._found[form.name] = self._pool.submit(run_exported, form, self._clips)

    def logits(self) -> dict[str, FloatArray]:
        """[N, classes] of each form that was started, by name, once they are all there."""
        return {name: found.result() for name, found in self._found.items()}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@torch.no_grad()
def run_torch(module: nn.Module, clips: LabeledFeatures) -> FloatArray:
    """Logits [N, classes] of a torch module."""
    parts = [
        module({name: torch.from_numpy(x) for name, x in batch.items()}).numpy()
        for batch in clips.batches(tuple(clips.inputs))
    ]
    return np.concatenate(parts)


def difference(exact: FloatArray, logits: FloatArray) -> Difference:
    """Of ``logits`` from ``exact``, both [N, classes]."""
    if not (np.isfinite(exact).all() and np.isfinite(logits).all()):
        return Difference(0.0, 0.0, 0.0, finite=False)
    a, b = exact.astype(np.float64).ravel(), logits.astype(np.float64).ravel()
    size, other = (float(np.linalg.norm(x)) or 1.0 for x in (a, b))
    return Difference(
        largest=float(np.abs(a - b).max()),
        relative=float(np.linalg.norm(a - b)) / size,
        cosine=float(a @ b) / (size * other),
        limit=PARITY_LIMIT * max(1.0, float(np.abs(a).max()) / ORDINARY_LOGIT),
    )


def deciding_inputs(
    form: ExportedModel, clips: LabeledFeatures, meta: CheckpointMeta
) -> dict[str, str]:
    """Return label -> input: without which of the inputs ``form`` is less sure of the class.

    Sure: the logarithm of the probability of the truth, in the mean over a few of its clips. Labels
    that do not occur are left out; a model of one input decides all by it.
    """
    few = [np.flatnonzero(clips.truth == i)[:DECIDING_CLIPS] for i in range(len(meta.labels))]
    clips = clips.at(np.concatenate(few))
    sure = {
        name: _log_probability(run_exported(form, clips.without(name)), clips)
        for name in clips.inputs
    }
    found = {}
    for index, label in enumerate(meta.labels):
        of_class = clips.truth == index
        if of_class.any():
            found[label] = min(sure, key=lambda name: float(sure[name][of_class].mean()))
    return found


def _log_probability(logits: FloatArray, clips: LabeledFeatures) -> FloatArray:
    """Of the truth of each clip, [N]."""
    exact = torch.from_numpy(logits).double().log_softmax(1).numpy()
    found: FloatArray = exact[np.arange(len(clips)), clips.truth]
    return found


def accuracy(
    logits: FloatArray, clips: LabeledFeatures, meta: CheckpointMeta, decides: Mapping[str, str]
) -> Accuracy:
    """Count the most likely class of logits [N, classes] against the truth.

    decides: label -> input, see :func:`deciding_inputs`.
    """
    found: Report = report(clips.truth, logits, meta.labels, meta.background)
    recalls = {label: r for label, r in found.recalls.items() if r == r}
    macro = found.macro_recall_signs
    hits = logits.argmax(1) == clips.truth
    input_of = np.array([decides[meta.labels[i]] for i in clips.truth])
    top1_of = {name: float(hits[input_of == name].mean()) for name in sorted(set(input_of))}
    return Accuracy(len(clips), found.top1, macro if macro == macro else 0.0, recalls, top1_of)


def latency_ms(
    exported_models: Sequence[ExportedModel], clips: LabeledFeatures, runs: int = 40
) -> dict[str, float]:
    """Median milliseconds of one clip, or one step, on one thread, for each of ``exported_models``.

    Runs are interleaved, so that whatever else the machine does meets all alike.
    """
    inputs = next(clips.batches(tuple(clips.inputs), 1))
    times: dict[str, list[float]] = {exported.name: [] for exported in exported_models}
    for i in range(runs + 3):
        for exported in exported_models:
            start = time.perf_counter()
            (exported.step or exported.run)(inputs)
            if i >= 3:  # the first runs allocate
                times[exported.name].append(1000.0 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> str:
    """The processor's name, for people."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def tool_versions() -> dict[str, str]:
    """Package -> version of everything that shaped the result."""
    versions = {"python": platform.python_version()}
    for package in TOOLS:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree, or not used by this target
            continue
    return versions
