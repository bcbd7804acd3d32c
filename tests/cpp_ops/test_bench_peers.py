"""The peers that the benchmark builds or converts itself compute what they should."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from bharsdk.landmarks.skeleton import NTU25

BENCH = Path(__file__).parents[2] / "cpp_ops/bench"
PERSONS, CLASSES, WINDOW = 2, 120, 8


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules can be imported."""
    monkeypatch.syspath_prepend(BENCH)


@pytest.fixture
def costgcn(bench: None) -> ModuleType:
    pytest.importorskip(
        "continual", reason="continual-inference is missing: pip install 'bharsdk[bench]'"
    )
    return importlib.import_module("costgcn")


@pytest.mark.parametrize("strides", [True, False])
def test_a_step_of_costgcn_is_its_clip(costgcn: ModuleType, strides: bool) -> None:
    """Every frame that gives logits gives those of the clip, to rounding."""
    torch.manual_seed(0)
    net = costgcn.costgcn(NTU25, CLASSES, WINDOW, strides=strides)
    clip = torch.randn(PERSONS, 3, net.receptive_field + 8, NTU25.joint_count)
    state, found = None, []
    with torch.no_grad():
        expected = net(clip)
        for t in range(clip.shape[2]):
            logits, state = net._forward_step(clip[:, :, t], state)
            found += [] if logits is None else [logits]
    assert len(found) == (3 if strides else 9)
    torch.testing.assert_close(torch.stack(found, 2), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("strides", [True, False])
def test_a_trace_of_costgcn_steps_as_it_does(costgcn: ModuleType, strides: bool) -> None:
    """Also after the frames have come round."""
    torch.manual_seed(0)
    net = costgcn.costgcn(NTU25, CLASSES, WINDOW, strides=strides)
    frames = list(torch.randn(8, PERSONS, 3, NTU25.joint_count))
    eager, traced = costgcn.steps(net, frames), costgcn.traced_steps(net, frames)
    for _ in range(3):
        torch.testing.assert_close(traced(), eager())


def test_costgcn_is_as_large_as_published(costgcn: ModuleType) -> None:
    """3.14 M parameters; 0.27 G multiply-adds for four frames, CoST-GCN* 0.16 G for one."""
    net = costgcn.costgcn(NTU25, CLASSES, 60, strides=True)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(3.14e6, rel=0.01)
    counts = [costgcn.multiply_adds(25, PERSONS, strides=strides) for strides in (True, False)]
    assert [4 * counts[0], counts[1]] == pytest.approx([0.27e9, 0.16e9], rel=0.03)


def test_a_library_that_is_missing_takes_its_rows_along(
    bench: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line says which ones, and how to get it."""
    models = importlib.import_module("models")
    monkeypatch.setattr(models, "_is_installed", lambda name: False)
    assert list(models.model_rows(["costgcn"])) == []
    told = capsys.readouterr().out
    assert "left out: step-vs-costgcn, step-vs-costgcn-star: continual-inference" in told
    assert "pip install 'bharsdk[bench]'" in told


@pytest.mark.long
def test_litert_computes_what_the_model_does(bench: None) -> None:
    """In float32 to rounding; in INT8 nearly."""
    litert, models = importlib.import_module("litert"), importlib.import_module("models")
    if not litert.installed():
        pytest.skip("LiteRT or its converters are missing: pip install 'bharsdk[bench]'")
    case = models.JOINED
    inputs = case._inputs()
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.no_grad():
        expected = case._model().deploy().eval()(tensors).numpy()
    for kind, bound in (("float32", 1e-4), ("INT8", 0.15)):
        difference = np.abs(models._litert(case)[kind]() - expected).max()
        assert difference < bound * np.abs(expected).max(), kind
