"""The compiled kernels behind checked Python functions.

The instruction set is chosen once, at the first call: the best one that the CPU has, or the one
named by the environment variable ``BHAR_FORCE_ISA`` (``amx``, ``avx512``, ``avx2``, ``neon``,
``scalar``).
A name that cannot run here is an error; nothing falls back in silence.

The same kernels are nodes of ONNX graphs through :func:`onnxruntime_library`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bharsdk import _ops
from bharsdk.errors import BackendMissingError, IncompatibleError, InputError, UsageError

__all__ = [
    "active_isa",
    "available_isas",
    "graph_aggregate",
    "integer_graph_aggregate",
    "integer_temporal_conv",
    "onnxruntime_library",
    "pairwise_tanh",
    "pooled_attention",
    "quantize",
    "refined_aggregate",
    "temporal_conv",
    "temporal_conv_step",
]

FloatArray = npt.NDArray[np.float32]


@contextlib.contextmanager
def _told(operation: str = "") -> Iterator[None]:
    """Say what the extension refuses in the words of :mod:`bharsdk.errors`."""
    try:
        yield
    except _ops.UnknownIsaError as error:
        raise UsageError(str(error)) from error
    except _ops.UnavailableIsaError as error:
        raise IncompatibleError(str(error)) from error
    except ValueError as error:
        raise InputError(f"{operation}: {error}") from error


def graph_aggregate(x: FloatArray, a: FloatArray, *, out: FloatArray | None = None) -> FloatArray:
    """Aggregate joint features over the graph, the core of every graph convolution.

    ``out[n, c, t, w] = sum_k sum_v x[n, k, c, t, v] * a[k, v, w]``, or with ``a[n, k, c, v, w]``
    where the topology differs between channels.

    Args:
        x: float32 [N, K, C, T, V], features for each of K partitions; no unit.
        a: float32 [K, V, W], one adjacency for all, or float32 [N, K, C, V, W], channel-wise.
        out: float32 [N, C, T, W] to write into, sharing no memory with x or a; allocated if None.

    Returns:
        float32 [N, C, T, W], ``out`` itself if given. Zeros where K or V is zero. NaN propagates.
        Each value is within ``K * V * 2**-23 * sum_k sum_v |x| |a|`` of the exact sum.

    Raises:
        InputError: an array has another dtype or shape, or is not C-contiguous (nothing is
            converted or copied), or ``out`` is read-only or overlaps an input.
        UsageError: ``BHAR_FORCE_ISA`` names no instruction set.
        IncompatibleError: ``BHAR_FORCE_ISA`` names one that this CPU does not have.

    Source: Yan et al. 2018, eq. 10 (static); Chen et al. 2021, eq. 5 (channel-wise).
    """
    with _told("graph_aggregate"):
        return _ops.graph_aggregate(x, a, out)


def pairwise_tanh(
    to: FloatArray, from_: FloatArray, *, out: FloatArray | None = None
) -> FloatArray:
    """Relations to every joint w from every joint v, in M maps of R each.

    ``out[n, m, w, v, r] = tanh(to[n, w, m, r] - from_[n, v, m, r])``: what
    :func:`refined_aggregate` reads, its partitions and groups together being the maps.

    Args:
        to: float32 [N, W, M, R], what each joint says of itself as a target; no unit.
        from_: float32 [N, V, M, R], and as a source. R is at most 256.
        out: float32 [N, M, W, V, R] to write into, sharing no memory with the inputs.

    Returns:
        float32 [N, M, W, V, R], ``out`` itself if given, within ``4 * 2**-23`` of the exact value,
        relatively. NaN propagates.

    Raises:
        InputError, UsageError, IncompatibleError: as :func:`refined_aggregate`.

    Source: Chen et al. 2021, eq. 3.
    """
    with _told("pairwise_tanh"):
        return _ops.pairwise_tanh(to, from_, out)


def pooled_attention(
    x: FloatArray,
    context: FloatArray,
    query: FloatArray,
    query_bias: FloatArray,
    key: FloatArray,
    key_bias: FloatArray,
    directions: FloatArray,
    value: FloatArray,
    bias: FloatArray,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Attention from one branch to another along time, joints and instances, pooled to O outputs.

    Along each axis a, the tokens q of x and k of context are means over the two other axes, then
    normalized over their channels (LayerNorm without weights). With the positive random features
    ``phi(u) = exp(u @ directions - |u|^2 / 2 - largest) + 1e-6`` of the H heads of
    ``q @ query + query_bias`` and ``k @ key + key_bias``,

    ``weight[a, h, k] = mean_q (phi(q) . phi(k) / sum_k' phi(q) . phi(k'))`` and
    ``out[n] = bias + sum_a sum_h (sum_k weight[a, h, k] * k) @ value[a, h]``.

    ``largest`` is the greatest exponent of a query, or of all keys of a head. What depends on no
    input is folded beforehand: LayerNorm's weights and the factor D^-1/4 into query and key, the
    values' and output layers and the classifier into value (the mean over queries commutes with
    them).

    Args:
        x: float32 [N, T, M, V, C], features of M instances of V joints; no unit. No axis but N
            may be empty.
        context: float32 [N, T', M', V', C], those of the branch that is attended to.
        query: float32 [3, C, H * D], of the axes time, joints, instances; its bias [3, H * D].
        query_bias: see query.
        key: float32 [3, C, H * D], its bias [3, H * D].
        key_bias: see key.
        directions: float32 [3, D, J], the random directions as columns.
        value: float32 [3, H, C, O], from normalized tokens to outputs.
        bias: float32 [O].
        out: float32 [N, O] to write into, sharing no memory with the inputs.

    Returns:
        float32 [N, O], ``out`` itself if given. A NaN anywhere in a sample makes all of its outputs
        NaN. Features have the relative bound that ``kernels.h`` states.

    Raises:
        InputError: an array has another dtype or shape, or is not C-contiguous (nothing is
            converted or copied), or ``out`` is read-only or overlaps an input.
        UsageError, IncompatibleError: as :func:`graph_aggregate`.

    Source: Choromanski et al. 2021, eq. 5-7 (FAVOR+), over the pooled axes of BHaRNet-P.
    """
    with _told("pooled_attention"):
        return _ops.pooled_attention(
            x, context, query, query_bias, key, key_bias, directions, value, bias, out
        )


def refined_aggregate(
    value: FloatArray,
    relation: FloatArray,
    weight: FloatArray,
    shift: FloatArray,
    a: FloatArray,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Aggregate over adjacencies that differ for every sample and channel, and are never stored.

    ``adjacency[n, k, w, v, c] = a[k, w, v] + shift[k, c] + sum_r weight[k, r, c] *
    relation[n, k, group of c, w, v, r]`` and
    ``out[n, t, w, c] = sum_k sum_v value[n, k, t, v, c] * adjacency[n, k, w, v, c]``.

    Args:
        value: float32 [N, K, T, V, C], features for each of K partitions; no unit.
        relation: float32 [N, K, G, W, V, R]: R relations to joint w from joint v, shared by the
            C / G channels of a group; G divides C.
        weight: float32 [K, R, C], of the relations in the adjacency of a channel.
        shift: float32 [K, C], of all edges of a channel.
        a: float32 [K, W, V], the static adjacencies, to w from v.
        out: float32 [N, T, W, C] to write into, sharing no memory with the inputs.

    Returns:
        float32 [N, T, W, C], ``out`` itself if given. NaN propagates. Each value is within
        ``(K * V + R + 3) * 2**-23`` times the sum of the absolute products.

    Raises:
        InputError: an array has another dtype or shape, or is not C-contiguous (nothing is
            converted or copied), or ``out`` is read-only or overlaps an input.
        UsageError, IncompatibleError: as :func:`graph_aggregate`.

    Source: Chen et al. 2021, eq. 3-5 and 8 (CTR-GC), with the channels in groups.
    """
    with _told("refined_aggregate"):
        return _ops.refined_aggregate(value, relation, weight, shift, a, out)


def temporal_conv(
    x: FloatArray,
    weight: FloatArray,
    bias: FloatArray,
    offsets: Sequence[int],
    *,
    stride: int = 1,
    slope: float = 1.0,
    out: FloatArray | None = None,
) -> FloatArray:
    """Convolve features along time, channels innermost, with taps wherever they are wanted.

    ``out[n, t] = act(sum_k x[n, t * stride + offsets[k]] @ weight[k] + bias)``. Frames beyond the
    clip are its first or last one.

    Args:
        x: float32 [N, T, V, I], features of V joints (of all persons); no unit.
        weight: float32 [K, I, O], one matrix for each tap.
        bias: float32 [O].
        offsets: frames from the one that is computed to the one that each tap reads, in any order;
            at most 64. A convolution of 3 dilated by 2 has (-2, 0, 2).
        stride: of the frames that are computed, at least 1.
        slope: of the leaky ReLU that follows, 0 to 1; 1 is none.
        out: float32 [N, ceil(T / stride), V, O] to write into, sharing no memory with the inputs.

    Returns:
        float32 [N, ceil(T / stride), V, O], ``out`` itself if given. NaN propagates. Before the
        activation each value is within ``(K * I + 2) * 2**-23`` times the sum of the absolute
        products and the bias.

    Raises:
        InputError: an array has another dtype or shape, or is not C-contiguous (nothing is
            converted or copied), or ``out`` is read-only or overlaps an input.
        UsageError, IncompatibleError: as :func:`graph_aggregate`.

    Source: Myung et al. 2024, section III-C (DeTGC, its taps interpolated beforehand).
    """
    with _told("temporal_conv"):
        return _ops.temporal_conv(x, weight, bias, offsets, stride, slope, out)


def temporal_conv_step(
    ring: FloatArray,
    newest: int,
    weight: FloatArray,
    bias: FloatArray,
    offsets: Sequence[int],
    *,
    slope: float = 1.0,
    out: FloatArray | None = None,
) -> FloatArray:
    """One new frame of :func:`temporal_conv`, from a ring buffer of the last frames.

    Args:
        ring: float32 [R, V, I]; ``ring[newest]`` is the frame to compute, ``ring[newest - 1]``,
            wrapped, the one before it.
        newest: 0 to R - 1.
        weight: float32 [K, I, O], one matrix for each tap.
        bias: float32 [O].
        offsets: at most 0 and above -R: nothing is read that has not happened.
        slope: of the leaky ReLU that follows, 0 to 1; 1 is none.
        out: float32 [V, O] to write into.

    Returns:
        float32 [V, O], ``out`` itself if given: bit for bit what :func:`temporal_conv` gives for
        this frame of a clip on the same instruction set.

    Raises:
        InputError, UsageError, IncompatibleError: as :func:`temporal_conv`.
    """
    with _told("temporal_conv_step"):
        return _ops.temporal_conv_step(ring, newest, weight, bias, offsets, slope, out)


def integer_graph_aggregate(
    x: npt.NDArray[np.uint8],
    a: npt.NDArray[np.int8],
    scale: FloatArray,
    *,
    step: float,
    zero: int,
) -> FloatArray:
    """:func:`graph_aggregate` of bytes over adjacencies in integers, whose sums are exact.

    Stands for x = ``(x - zero) * step`` and a = ``a * scale``.

    Args:
        x: uint8 [N, K, C, T, V], features for each of K partitions; :func:`quantize` makes it.
        a: int8 [K, V, W], one adjacency for all, or int8 [N, K, C, V, W], channel-wise; -63 to 63:
            two products with a byte fit 16 bits. K * V is at most 2^17, V rounded up to fours.
        scale: float32 [W], of the edges to each joint: what differs within a sum has no place.
        step: of the bytes, above 0.
        zero: the byte that stands for zero.

    Returns:
        float32 [N, C, T, W], the same to the last bit on every instruction set. Zeros where K or V
        is zero.

    Raises:
        InputError: an array has another dtype or shape or is not C-contiguous, or a value is out
            of its range.
        UsageError, IncompatibleError: as :func:`graph_aggregate`.

    Source: Jacob et al. 2018, section 2.3 (integer arithmetic with zero points).
    """
    with _told("integer_graph_aggregate"):
        return _ops.integer_graph_aggregate(x, a, scale, step, zero)


def integer_temporal_conv(
    x: npt.NDArray[np.uint8],
    weight: npt.NDArray[np.int8],
    scale: FloatArray,
    bias: FloatArray,
    offsets: Sequence[int],
    *,
    step: float,
    zero: int,
    stride: int = 1,
    slope: float = 1.0,
) -> FloatArray:
    """:func:`temporal_conv` of bytes with a weight in integers, whose sums are exact.

    Stands for x = ``(x - zero) * step`` and weight = ``weight * scale``.

    Args:
        x: uint8 [N, T, V, I], I a multiple of 4; :func:`quantize` makes it.
        weight: int8 [K, I, O], -63 to 63: two products with a byte fit 16 bits.
        scale: float32 [O].
        bias: float32 [O].
        offsets: as for :func:`temporal_conv`.
        step: of the bytes, above 0.
        zero: the byte that stands for zero.
        stride: of the frames that are computed, at least 1.
        slope: of the leaky ReLU that follows, 0 to 1; 1 is none.

    Returns:
        float32 [N, ceil(T / stride), V, O], the same to the last bit on every instruction set.

    Raises:
        InputError: an array has another dtype or shape or is not C-contiguous, or a value is out
            of its range.
        UsageError, IncompatibleError: as :func:`graph_aggregate`.

    Source: Jacob et al. 2018, section 2.3 (integer arithmetic with zero points).
    """
    with _told("integer_temporal_conv"):
        return _ops.integer_temporal_conv(
            x, weight, scale, bias, offsets, step, zero, stride, slope
        )


def quantize(x: FloatArray, *, step: float, zero: int) -> npt.NDArray[np.uint8]:
    """The bytes that stand for ``x``: ``round(x / step + zero)``, halves to even, 0 to 255.

    NaN becomes 0. The same on every instruction set. x: float32, C-contiguous, any shape; step:
    above 0; zero: 0 to 255. Raises InputError, UsageError and IncompatibleError as
    :func:`graph_aggregate`.
    """
    with _told("quantize"):
        return _ops.quantize(x, step, zero)


def active_isa() -> str:
    """Return the name of the instruction set that the kernels run on.

    Raises:
        UsageError: ``BHAR_FORCE_ISA`` names no instruction set.
        IncompatibleError: ``BHAR_FORCE_ISA`` names one that this CPU does not have.
    """
    with _told():
        return _ops.active_isa()


def available_isas() -> list[str]:
    """Return the names of the instruction sets that this CPU has, best first."""
    return _ops.available_isas()


def onnxruntime_library() -> str:
    """Return the path of the library that makes ONNX Runtime run these kernels.

    ``SessionOptions.register_custom_ops_library(path)`` adds to the domain ``bharsdk``, version 1:

    - ``GraphAggregate(x, a)``, ``PairwiseTanh(to, from)`` and ``RefinedAggregate(value, relation,
      weight, shift, a)``, as the functions of the same names;
    - ``TemporalConv(x, weight, bias)`` with the attributes ``offsets`` (integers), ``stride``
      (integer) and ``slope`` (float), none of which may be left out.

    Shapes, bounds and ``BHAR_FORCE_ISA`` are those of the functions; they compute on the calling
    thread. What a node cannot use makes ONNX Runtime raise, saying what was got and expected.

    Raises:
        BackendMissingError: the library is not beside bharsdk's other one.
    """
    path = Path(_ops.__file__).with_name("_onnx_ops.so")
    if not path.is_file():
        raise BackendMissingError(
            f"got no {path}, expected the kernels as custom ops of ONNX Runtime: run"
            "  pip install .  with a C++ compiler"
        )
    return str(path)
