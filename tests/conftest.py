"""Shared parts of the tests: real recorded clips, and a bundle small enough to know its answers."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from bharsdk.landmarks.landmarks import LandmarkSequence

WORDS = Path(__file__).parent / "data" / "words.npz"
CLIP_FPS = 15.0


@pytest.fixture(scope="session", autouse=True)
def heard_interrupts() -> None:
    """Programs that tests start hear Ctrl-C, also where the tests run in a script's background.

    What a shell starts there ignores it, and so does all that is started from there.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


MadeOnce = Callable[[str, Callable[[Path], object]], Path]
"""``made_once(name, make)``: the folder ``name``, which ``make(folder)`` filled."""


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Make what takes long once in a run of all tests, also where several processes run them.

    The first process that asks makes it, the others wait for it. A name stands for one thing.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of the whole run; each worker has one of its own below
    shelf = base / "made-once"
    shelf.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = shelf / name, shelf / f"{name}.whole"
        with (shelf / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                # Left by a try that failed: its test has failed, and this one will say why.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's cache is: no test reads or leaves anything in the real one."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def damage() -> Callable[..., bytes]:
    """A file cut, flipped or grown anywhere: ``damage(data, whole, first)``, from ``first`` on."""

    def damaged(data: st.DataObject, whole: bytes, first: int = 0) -> bytes:
        bad = bytearray(whole)
        kind = data.draw(st.sampled_from(["cut", "flip", "grow"]))
        at = data.draw(st.integers(first, len(whole) - 1))
        if kind == "cut":
            del bad[at:]
        elif kind == "flip":
            bad[at] ^= data.draw(st.integers(1, 255))
        else:
            bad[at:at] = data.draw(st.binary(min_size=1, max_size=40))
        return bytes(bad)

    return damaged


@pytest.fixture(scope="session")
def word_clips() -> dict[str, npt.NDArray[np.float16]]:
    """Real clips of signer s2 by label, float16 [clip, 20, 258]."""
    with np.load(WORDS, allow_pickle=False) as data:
        mine = data["signer"] == "s2"
        labels, clips = data["label"][mine], data["landmarks"][mine]
    return {str(label): clips[labels == label] for label in np.unique(labels)}


@pytest.fixture(scope="session")
def recording(word_clips: dict[str, npt.NDArray[np.float16]]) -> LandmarkSequence:
    """Ten real clips, signs and no sign in turn, 200 frames at 15 a second."""
    signs = [label for label in sorted(word_clips) if label != "-"]
    strung = [clip for i, label in enumerate(signs) for clip in (word_clips[label][i % 4], None)]
    rests = itertools.cycle(word_clips["-"])
    clips = [next(rests) if clip is None else clip for clip in strung]
    return LandmarkSequence.from_flat(np.concatenate(clips), fps=CLIP_FPS)


@pytest.fixture(scope="session")
def presence_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose answer is which hand was seen: labels "-", "left", "right".

    Each hand's logit is 20 x the share of the window in which it was seen; that of "-" is 10.
    """
    onnx = pytest.importorskip("onnx", reason="needs the extra 'export' to make a graph")
    from bharsdk.bundle.bundle import Manifest, Precision, save_bundle
    from bharsdk.bundle.decoder_config import DecoderConfig
    from bharsdk.bundle.feature_config import FeatureConfig

    config = FeatureConfig()
    make, single = onnx.helper, onnx.TensorProto.FLOAT
    shape = (config.channels, config.frames)
    constants = {
        "presence": np.array(config.channels - 1, np.int64),
        "axes": np.array([1, 2], np.int64),
        "scale": np.array(20, np.float32),
        "none": np.array([[10]], np.float32),
        "zero": np.array(0, np.float32),
        "start": np.array([0], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        make.make_node("Gather", ["hands", "presence"], ["seen"], axis=1),  # [N, T, 21, 2]
        make.make_node("ReduceMean", ["seen", "axes"], ["share"], keepdims=0),  # [N, 2]
        make.make_node("Mul", ["share", "scale"], ["hand_logits"]),
        # The body must be an input that counts, or the graph would not need it.
        make.make_node("ReduceMean", ["body"], ["mean"], keepdims=0),
        make.make_node("Mul", ["mean", "zero"], ["nothing"]),
        make.make_node("Slice", ["hand_logits", "start", "one", "one"], ["left"]),
        make.make_node("Mul", ["left", "zero"], ["zeros"]),
        make.make_node("Add", ["zeros", "none"], ["rest"]),
        make.make_node("Add", ["rest", "nothing"], ["rest_logit"]),
        make.make_node("Concat", ["rest_logit", "hand_logits"], ["logits"], axis=1),
    ]
    graph = make.make_graph(
        nodes,
        "presence",
        [
            make.make_tensor_value_info("body", single, ["N", *shape, 25, 1]),
            make.make_tensor_value_info("hands", single, ["N", *shape, 21, 2]),
        ],
        [make.make_tensor_value_info("logits", single, ["N", 3])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    manifest = Manifest(
        name="presence",
        labels=("-", "left", "right"),
        background="-",
        features=config,
        decoder=DecoderConfig(),
        precision=Precision.FP32,
        model="share of frames with a hand",
        trained_on="nothing",
        license="Apache-2.0",
        golden_tolerance=1e-3,
    )
    path = tmp_path_factory.mktemp("models") / "presence.bhar"
    save_bundle(path, manifest, {"model.onnx": model.SerializeToString()})
    return path
