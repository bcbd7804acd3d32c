from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class UnknownIsaError(ValueError): ...
class UnavailableIsaError(RuntimeError): ...

def active_isa() -> str: ...
def available_isas() -> list[str]: ...
def graph_aggregate(
    x: npt.NDArray[np.float32],
    a: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def pairwise_tanh(
    to: npt.NDArray[np.float32],
    from_: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def refined_aggregate(
    value: npt.NDArray[np.float32],
    relation: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
    a: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def temporal_conv(
    x: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    offsets: Sequence[int],
    stride: int = 1,
    slope: float = 1.0,
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def temporal_conv_step(
    ring: npt.NDArray[np.float32],
    newest: int,
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    offsets: Sequence[int],
    slope: float = 1.0,
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
