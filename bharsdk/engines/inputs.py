"""What every engine asks of its inputs."""

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
    """Those of ``inputs`` that are named in ``shapes`` (without batch), in that order.

    Raises InputError when one is missing, or of another shape or dtype, or batches differ.
    """
    missing = sorted(set(shapes) - set(inputs))
    if missing:
        raise InputError(f"engine: got inputs {sorted(inputs)}, {missing[0]} is missing")
    fed = {name: inputs[name] for name in shapes}
    count = len(next(iter(fed.values())))
    for name, array in fed.items():
        expected = shapes[name]
        if array.dtype != np.float32 or array.shape[1:] != expected or len(array) != count:
            raise InputError(
                f"engine: got {name} {array.dtype} {list(array.shape)}, expected float32"
                f" [{count}, {', '.join(map(str, expected))}]"
            )
    return fed
