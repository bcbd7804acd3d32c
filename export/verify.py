"""What an exported graph is worth: parity with torch, accuracy, latency."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bhar_export.calibrate import LabelledFeatures
from bhar_export.graph import INPUTS
from bhar_training.checkpoint import CheckpointMeta
from bhar_training.metrics import Report, report
from bharsdk.engines.onnx import single_thread_session

__all__ = [
    "PARITY_LIMIT",
    "Accuracy",
    "accuracy",
    "latency_ms",
    "machine",
    "max_difference",
    "run_graph",
    "run_torch",
    "tool_versions",
]

FloatArray = npt.NDArray[np.float32]

PARITY_LIMIT = 1e-4
"""Largest absolute difference of a logit, torch against the float32 graph."""


@dataclass(frozen=True)
class Accuracy:
    """Parts of 1. top1: of all clips. macro_recall_signs: mean recall without the background.

    recalls: label -> recall, only labels that occur. clips: how many were counted.
    """

    clips: int
    top1: float
    macro_recall_signs: float
    recalls: dict[str, float]


def run_graph(model: bytes, clips: LabelledFeatures) -> FloatArray:
    """Logits [N, classes] of an ONNX graph under ONNX Runtime."""
    session = single_thread_session(model)
    batches = clips.batches([value.name for value in session.get_inputs()])
    return np.concatenate([session.run(["logits"], batch)[0] for batch in batches])


@torch.no_grad()
def run_torch(module: nn.Module, clips: LabelledFeatures) -> FloatArray:
    """Logits [N, classes] of a torch module."""
    parts = [
        module(torch.from_numpy(batch["body"]), torch.from_numpy(batch["hands"])).numpy()
        for batch in clips.batches(INPUTS)
    ]
    return np.concatenate(parts)


def max_difference(a: FloatArray, b: FloatArray) -> float:
    """Largest absolute difference; infinite when a value is not finite."""
    difference = np.abs(a - b)
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def accuracy(logits: FloatArray, clips: LabelledFeatures, meta: CheckpointMeta) -> Accuracy:
    """Count the most likely class of logits [N, classes] against the truth."""
    found: Report = report(clips.truth, logits, meta.labels, meta.background)
    recalls = {label: r for label, r in found.recalls.items() if r == r}
    macro = found.macro_recall_signs
    return Accuracy(len(clips), found.top1, macro if macro == macro else 0.0, recalls)


def latency_ms(
    models: Mapping[str, bytes], clips: LabelledFeatures, runs: int = 40
) -> dict[str, float]:
    """Median milliseconds of one clip on one thread, for each of ``models``.

    Runs are interleaved, so that whatever else the machine does meets all alike.
    """
    sessions = {name: single_thread_session(model) for name, model in models.items()}
    read = [value.name for value in next(iter(sessions.values())).get_inputs()]
    inputs = next(clips.batches(read, 1))
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for i in range(runs + 3):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(["logits"], inputs)
            if i >= 3:  # the first runs allocate
                times[name].append(1000.0 * (time.perf_counter() - start))
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
    for package in ("bharsdk", "torch", "onnx", "onnxscript", "onnxruntime", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree
            continue
    return versions
