"""The compiled kernels behind checked Python functions.

The instruction set is chosen once, at the first call: the best one that the CPU has, or the one
named by the environment variable ``BHAR_FORCE_ISA`` (``avx512``, ``avx2``, ``neon``, ``scalar``).
A name that cannot run here is an error; nothing falls back in silence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bharsdk.errors import BackendMissingError, IncompatibleError, InputError, UsageError

try:
    from bharsdk import _ops
except ImportError as error:
    raise BackendMissingError(
        f"the compiled extension bharsdk._ops cannot be loaded ({error}), expected it beside "
        "bharsdk: run  pip install .  with a C++ compiler"
    ) from error

__all__ = ["active_isa", "available_isas", "graph_aggregate"]


def graph_aggregate(
    x: npt.NDArray[np.float32],
    a: npt.NDArray[np.float32],
    *,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
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
    try:
        return _ops.graph_aggregate(x, a, out)
    except _ops.UnknownIsaError as error:
        raise UsageError(str(error)) from error
    except _ops.UnavailableIsaError as error:
        raise IncompatibleError(str(error)) from error
    except ValueError as error:
        raise InputError(f"graph_aggregate: {error}") from error


def active_isa() -> str:
    """Return the name of the instruction set that the kernels run on.

    Raises:
        UsageError: ``BHAR_FORCE_ISA`` names no instruction set.
        IncompatibleError: ``BHAR_FORCE_ISA`` names one that this CPU does not have.
    """
    try:
        return _ops.active_isa()
    except _ops.UnknownIsaError as error:
        raise UsageError(str(error)) from error
    except _ops.UnavailableIsaError as error:
        raise IncompatibleError(str(error)) from error


def available_isas() -> list[str]:
    """Return the names of the instruction sets that this CPU has, best first."""
    return _ops.available_isas()
