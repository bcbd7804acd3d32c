"""Turns errors and results of other libraries into ours, for all backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from bharsdk.errors import BharError, BundleError
from bharsdk.files.untrusted import reason_of

__all__ = ["checked_rows", "running"]

FloatArray = npt.NDArray[np.float32]


@contextmanager
def running(where: str, runtime: str) -> Iterator[None]:
    """Turn exceptions of other libraries in the block into BundleError.

    where: names the model in the message. runtime: names the library that runs it.
    """
    try:
        yield
    except BharError:
        raise
    # The exceptions of ONNX Runtime and LiteRT have no common base class of their own.
    except Exception as error:
        raise BundleError(f"{where}: {runtime} cannot run it: {reason_of(error)}") from error


def checked_rows(result: object, rows: int, width: int, where: str, what: str) -> FloatArray:
    """Return ``result`` as float32 [rows, width]. Raises BundleError if it is anything else."""
    array = np.asarray(result)
    if array.dtype != np.float32 or array.shape != (rows, width):
        raise BundleError(
            f"{where}: got {what} {array.dtype} {list(array.shape)}, expected float32"
            f" {[rows, width]}; export the bundle again"
        )
    return array
