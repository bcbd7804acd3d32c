"""Checks the inputs of a model, for all backends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError

__all__ = ["checked_inputs"]

FloatArray = npt.NDArray[np.float32]


def checked_inputs(
    inputs: Mapping[str, FloatArray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, FloatArray]:
    """Return the ``inputs`` that are named in ``shapes``, in the order of ``shapes``.

    shapes: of one clip, without the batch. Raises InputError when an input is missing or has
    another shape or dtype, or when the batch sizes differ.
    """
    missing = sorted(set(shapes) - set(inputs))
    if missing:
        raise InputError(f"model: got inputs {sorted(inputs)}, {missing[0]} is missing")
    fed = {name: inputs[name] for name in shapes}
    count = len(next(iter(fed.values())))
    for name, array in fed.items():
        expected = shapes[name]
        if array.dtype != np.float32 or array.shape[1:] != expected or len(array) != count:
            raise InputError(
                f"model: got {name} {array.dtype} {list(array.shape)}, expected float32"
                f" [{count}, {', '.join(map(str, expected))}]"
            )
    return fed
