"""The checked Python side of the compiled kernels."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from bharsdk.errors import InputError
from bharsdk.kernels import ops

X = np.ones((2, 3, 4, 5, 25), np.float32)
A = np.ones((3, 25, 21), np.float32)


def _read_only() -> Any:
    out = np.zeros((2, 4, 5, 21), np.float32)
    out.setflags(write=False)
    return out


def _misaligned() -> Any:
    store = np.zeros(X.nbytes + 1, np.uint8)
    return store[1:].view(np.float32).reshape(X.shape)


@pytest.mark.parametrize(
    ("x", "a", "out", "message"),
    [
        (X.tolist(), A, None, "got x of type list, expected a C-contiguous float32 numpy array"),
        (X.astype(np.float64), A, None, "got x of dtype float64, expected"),
        (X.astype(">f4"), A, None, "got x of dtype >f4, expected"),
        (X, A.astype(np.int32), None, "got a of dtype int32, expected"),
        (X[..., ::-1], A, None, "got x that is not contiguous"),
        (X, A.swapaxes(1, 2), None, "got a that is not contiguous"),
        (_misaligned(), A, None, "got x that is not aligned to 4 bytes"),
        (X[0], A, None, r"got x \[3, 4, 5, 25\] and a .*expected x \[N, K, C, T, V\]"),
        (X, A[0], None, r"expected a \[K, V, W\] or \[N, K, C, V, W\]"),
        (X, A[:2].copy(), None, r"got .* a \[2, 25, 21\], expected a \[3, 25, 21\] to fit x"),
        (X, np.ones((1, 3, 4, 25, 21), np.float32), None, r"expected a \[2, 3, 4, 25, 21\]"),
        (X, A, np.zeros((2, 4, 5, 25), np.float32), r"got out of shape .*, expected \[2, 4, 5, 21"),
        (X, A, np.zeros((2, 4, 5, 21)), "got out of dtype float64"),
        (X, A, _read_only(), "got a read-only out"),
    ],
)
def test_what_the_kernel_cannot_use_is_refused(x: Any, a: Any, out: Any, message: str) -> None:
    """One line says what was got and what was expected; nothing is converted in silence."""
    with pytest.raises(InputError, match=message) as caught:
        ops.graph_aggregate(x, a, out=out)
    assert "\n" not in str(caught.value)


def test_out_that_overlaps_an_input_is_refused() -> None:
    """Writing into x while it is read would give wrong sums."""
    x, a = np.ones((1, 1, 2, 3, 5), np.float32), np.ones((1, 5, 5), np.float32)
    with pytest.raises(InputError, match="shares memory"):
        ops.graph_aggregate(x, a, out=x[:, 0])


def test_out_is_filled_and_returned() -> None:
    """A caller that reuses its array allocates nothing."""
    out = np.empty((2, 4, 5, 21), np.float32)
    assert ops.graph_aggregate(X, A, out=out) is out
    assert np.all(out == 75)


def test_inputs_are_left_as_they_were() -> None:
    """The kernel only reads x and a, read-only arrays included."""
    x, a = X.copy(), A.copy()
    x.setflags(write=False)
    a.setflags(write=False)
    ops.graph_aggregate(x, a)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(a, A)


def test_threads_may_call_it_at_the_same_time() -> None:
    """Calls share no state."""
    wanted = ops.graph_aggregate(X, A)
    results: list[Any] = [None] * 4

    def work(index: int) -> None:
        for _ in range(20):
            results[index] = ops.graph_aggregate(X, A)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, wanted)


FRAMES = np.ones((2, 6, 25, 4), np.float32)
WEIGHT, BIAS = np.ones((3, 4, 8), np.float32), np.ones(8, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": FRAMES.astype(np.float16)}, "got x of dtype float16, expected"),
        ({"x": FRAMES[:, ::2]}, "got x that is not contiguous"),
        ({"x": FRAMES[0]}, r"got x \[6, 25, 4\], expected \[N, T, V, I\]"),
        ({"weight": WEIGHT[:, :3].copy()}, r"weight \[3, 3, 8\], expected \[K, 4, O\] to fit x"),
        ({"bias": BIAS[:7]}, r"got bias \[7\], expected \[8\] to fit weight"),
        ({"offsets": (0, 1)}, "got 2 offsets, expected one for each of the K taps of weight"),
        ({"stride": 0}, "got stride 0, expected at least 1"),
        ({"slope": -0.5}, "got slope -0.5.*, expected 0 to 1"),
        ({"slope": float("nan")}, "got slope nan, expected 0 to 1"),
        ({"out": np.zeros((2, 6, 25, 9), np.float32)}, r"expected \[2, 6, 25, 8\]"),
        ({"out": FRAMES}, "got out of shape"),
    ],
)
def test_a_convolution_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    """One line says what was got and what was expected."""
    arguments = {"x": FRAMES, "weight": WEIGHT, "bias": BIAS, "offsets": (-1, 0, 1), **change}
    with pytest.raises(InputError, match=f"temporal_conv: .*{message}") as caught:
        ops.temporal_conv(**arguments)
    assert "\n" not in str(caught.value)


def test_more_taps_than_a_clip_can_have_are_refused() -> None:
    """The taps of a frame lie on the stack: their number has a limit, and says so."""
    with pytest.raises(InputError, match=r"got 65 offsets, expected .* at most 64"):
        ops.temporal_conv(FRAMES, np.ones((65, 4, 8), np.float32), BIAS, [0] * 65)


@pytest.mark.parametrize(
    ("newest", "offsets", "message"),
    [
        (6, (-1, 0, 0), r"got newest 6, expected a frame of ring \[6, 25, 4\]"),
        (-1, (-1, 0, 0), "got newest -1, expected"),
        (0, (-1, 0, 1), "got offset 1, expected at most 0, and above -6"),
        (0, (-6, 0, 0), "got offset -6, expected at most 0, and above -6"),
    ],
)
def test_a_step_reads_the_past_of_its_ring_alone(
    newest: int, offsets: tuple[int, ...], message: str
) -> None:
    """What has not happened, or was overwritten, cannot be asked for."""
    with pytest.raises(InputError, match=message):
        ops.temporal_conv_step(FRAMES[0], newest, WEIGHT, BIAS, offsets)


def test_a_convolution_over_its_own_input_is_refused() -> None:
    """A frame is read again by later ones."""
    x = np.ones((1, 6, 25, 8), np.float32)
    weight = np.ones((1, 8, 8), np.float32)
    with pytest.raises(InputError, match="got out that shares memory with x, expected its own"):
        ops.temporal_conv(x, weight, BIAS, (0,), out=x)


def test_a_step_into_its_own_array_allocates_no_result() -> None:
    """A caller that keeps its array gets it back, filled with 3 taps x 4 channels and the bias."""
    out = np.empty((25, 8), np.float32)
    assert ops.temporal_conv_step(FRAMES[0], 2, WEIGHT, BIAS, (-2, -1, 0), out=out) is out
    assert np.all(out == 13)


def test_the_active_instruction_set_is_an_available_one() -> None:
    """What runs is one of those that are listed."""
    assert ops.active_isa() in ops.available_isas()


REFINED = {
    "value": np.ones((2, 3, 4, 5, 8), np.float32),
    "relation": np.ones((2, 3, 4, 6, 5, 7), np.float32),
    "weight": np.ones((3, 7, 8), np.float32),
    "shift": np.ones((3, 8), np.float32),
    "a": np.ones((3, 6, 5), np.float32),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": REFINED["value"][0]}, r"got value \[3, 4, 5, 8\], expected \[N, K, T, V, C\]"),
        ({"relation": REFINED["relation"][:1]}, r"relation .*, expected \[N, K, G, W, V, R\] with"),
        (
            {"relation": np.ones((2, 3, 3, 6, 5, 7), np.float32)},
            r"expected G, its third, to divide the channels of value \[2, 3, 4, 5, 8\]",
        ),
        ({"weight": np.ones((3, 6, 8), np.float32)}, r"got weight .*, expected \[3, 7, 8\] to fit"),
        ({"shift": np.ones((8, 3), np.float32)}, r"got shift \[8, 3\], expected \[3, 8\] to fit"),
        ({"a": np.ones((3, 5, 6), np.float32)}, r"got a \[3, 5, 6\], expected \[3, 6, 5\] to fit"),
        ({"out": np.ones((2, 4, 5, 8), np.float32)}, r"got out .*, expected \[2, 4, 6, 8\]"),
    ],
)
def test_an_aggregation_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    """One line says what was got and what was expected."""
    with pytest.raises(InputError, match=f"refined_aggregate: .*{message}") as caught:
        ops.refined_aggregate(**{**REFINED, **change})
    assert "\n" not in str(caught.value)
    assert np.all(ops.refined_aggregate(**REFINED) == 3 * 5 * 9)


def test_relations_of_joints_that_do_not_fit_are_refused() -> None:
    """One line says what was got and what was expected."""
    to = np.ones((2, 5, 3, 4), np.float32)
    assert ops.pairwise_tanh(to, to[:, :2].copy()).shape == (2, 3, 5, 2, 4)
    for other in (to[0], to[:1], to[..., :3].copy()):
        with pytest.raises(InputError, match=r"pairwise_tanh: got to \[2, 5, 3, 4\] and from .*"):
            ops.pairwise_tanh(to, other)
    with pytest.raises(InputError, match="expected R, the last, up to 256"):
        ops.pairwise_tanh(*[np.ones((1, 2, 1, 257), np.float32)] * 2)
