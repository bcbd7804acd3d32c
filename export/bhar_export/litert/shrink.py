"""The fewest bytes for a flatbuffer: without names, and what is the same is there once."""

from __future__ import annotations

from typing import Any

import numpy as np

from bhar_export.litert.tools import imported, silent

__all__ = ["small_form"]

IDENTIFIER = b"TFL3"


def small_form(flatbuffer: bytes) -> bytes:
    """The same model without names of tensors, and with arrays that are equal shared.

    The converter's names take 70 KB of PR-GCN's; inputs and outputs are found by the names of the
    signature, which stay. Zero points are eight bytes for each output of each layer, all of them
    zero, and of a bias as many: a tenth of an INT8 BHaRNet-E.
    """
    # Of the quantizer, not LiteRT's: that leaves buffers out which lie behind the flatbuffer.
    read_model = imported("ai_edge_quantizer.utils.tfl_flatbuffer_utils").read_model
    with silent():
        model = read_model(flatbuffer)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = None
            _as_arrays(tensor, shape=np.int32)
            if tensor.quantization is not None:
                _as_arrays(tensor.quantization, scale=np.float32, zeroPoint=np.int64)
    builder = _builder()
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _as_arrays(table: Any, **types: type[np.generic]) -> None:
    """Lists of numbers become arrays, which are shared."""
    for name, dtype in types.items():
        values = getattr(table, name)
        if values is not None:
            setattr(table, name, np.asarray(values, dtype))


def _builder() -> Any:
    """A builder of flatbuffers that writes equal arrays once.

    In a flatbuffer an array is wherever its users say, and several may say the same.
    """
    flatbuffers = imported("flatbuffers")

    class Sharing(flatbuffers.Builder):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(1024)
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: np.ndarray[Any, Any]) -> int:  # noqa: N802 (theirs)
            key = x.dtype.str, x.tobytes()
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

    return Sharing()
