"""LiteRT float32 -> LiteRT INT8 or half precision, by ai-edge-quantizer.

Its own calibrator reads every tensor of every clip in Python, and by default cuts the ranges by
moving averages. Here LiteRT runs the clips, all tensors are observed once, and the quantizer is
handed the ranges.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bhar_export.graph.exported_model import IntegerNodes
from bhar_export.litert.shrink import small_form
from bhar_export.litert.tools import imported, silent
from bhar_export.quantization.ranges import Histogram, RangeMethod, observe, ranges_of

__all__ = ["FlatbufferQuantizer", "halved"]

FloatArray = npt.NDArray[np.float32]

IN_FLOAT = ("BATCH_MATMUL", "TANH", "SUB")
"""What refined topologies are made of, which differ from sample to sample: see ``sensitive.py``."""
COORDINATES = (
    ".*_input_norm.*",
    ".*/bhar_training.models.degcn.Block_0/.*StaticGraphConv.*",
    ".*/bhar_training.models.degcn.Block_0/.*_residual_graph.*",
    ".*PoseRefinement_refine.*",
    ".*TemporalConv_enter_(position|motion).*",
)
"""The same for coordinates, up to the first convolutions: modules, as the converter names them. In
eight bits a BHaRNet-E lost 20 points of top-1 on a new signer, with these in float none; the inputs
themselves are bytes all the same."""
ATTENTION = ".*[aA]ttention.*"
"""And random features, their sums, and what is divided by them."""
DIFFERENCES = ".*PRGCN_net;.*", ("SLICE", "PAD", "PADV2")
"""And of PR-GCN's motion: what of a module subtracts coordinates of neighboring frames."""
COMPUTE = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators that hold the multiply-adds of what is in eight bits."""
PRODUCT = "BATCH_MATMUL"
SIGNATURE = "serving_default"


class FlatbufferQuantizer:
    """INT8 forms of one float32 model, whose tensors are observed once.

    clips: what the model reads, one clip at a time, by name.
    """

    def __init__(self, flatbuffer: bytes, clips: Iterable[Mapping[str, FloatArray]]) -> None:
        self._flatbuffer = flatbuffer
        with silent():
            interpreter = imported("ai_edge_litert.interpreter").Interpreter(
                model_content=flatbuffer, num_threads=1, experimental_preserve_all_tensors=True
            )
            interpreter.allocate_tensors()
            details = {d["index"]: d for d in interpreter.get_tensor_details()}
            # Of LiteRT's own, the only list of operators there is without a flatbuffer's parser.
            operators = interpreter._get_ops_details()
            self._ranks = {d["name"]: len(d["shape"]) for d in details.values()}
            self._operators = [
                _Operator(
                    details[op["outputs"][0]]["name"] + ";",
                    op["op_name"],
                    frozenset(map(int, op["inputs"])),
                    frozenset(map(int, op["outputs"])),
                )
                for op in operators
            ]
            # Not what lies between operators in float: refined topologies are large.
            asked_for = {i for op in self._operators if not op.kept for i in op.inputs | op.outputs}
            given = {i for op in self._operators for i in op.outputs} & asked_for
            seen = [*map(details.__getitem__, sorted(given)), *interpreter.get_input_details()]
            self._observed: dict[str, Histogram] = observe(_tensors(interpreter, seen, clips))
        compute = [op for op in self._operators if op.kind in (*COMPUTE, PRODUCT)]
        self.layers = tuple(op.name for op in compute if not op.kept)
        """Of convolutions and products, the tensors that they give, in the order of their runs."""
        self._in_float = tuple(_short(op.name) for op in compute if op.kept)

    def nodes(self, in_float: Collection[str]) -> IntegerNodes:
        """What of the INT8 form multiplies in integers, with these of ``layers`` in float."""
        kept = [_short(name) for name in self.layers if name in in_float]
        return IntegerNodes(len(self.layers) - len(kept), (*self._in_float, *kept))

    def quantized(
        self, ranges: RangeMethod = RangeMethod.MIN_MAX, in_float: Collection[str] = ()
    ) -> bytes:
        """Weights, per channel, and activations in eight bits; ``in_float``: not these layers."""
        limits = ranges_of(self._observed, ranges)
        seen = {
            name: {
                key: np.full((1,) * self._ranks[name], limit, np.float32)
                for key, limit in (("min", least), ("max", most))
            }
            for name, (least, most) in limits.items()
        }
        with silent():
            work = imported("ai_edge_quantizer.quantizer").Quantizer(self._flatbuffer)
            work.load_quantization_recipe(imported("ai_edge_quantizer.recipe").static_wi8_ai8())
            for module, operator in _kept():
                work.update_quantization_recipe(module, operator, algorithm_key="no_quantize")
                # What computes in float still keeps its weights in bytes: floats once loaded.
                for kind in COMPUTE if operator == "*" else ():
                    work.add_weight_only_config(module, kind, num_bits=8)
            for name in self._beside(in_float):
                work.update_quantization_recipe(re.escape(name), "*", algorithm_key="no_quantize")
            result = work.quantize(seen, enable_progress_report=False)
            return small_form(bytes(result.quantized_model))

    def _beside(self, in_float: Collection[str]) -> list[str]:
        """``in_float``, and what does not follow the layers left: as ``sensitive.beside`` says."""
        if not in_float:
            return []
        left, touched = set(self.layers) - set(in_float), set[int]()
        apart = []
        for op in self._operators:  # each after those it reads from
            is_layer = op.kind in (*COMPUTE, PRODUCT)
            if op.name in left or (not is_layer and touched & op.inputs):
                touched |= op.outputs
            else:
                apart.append(op.name)
        return apart


@dataclass(frozen=True)
class _Operator:
    """name: of the tensor that it gives. inputs, outputs: indices of tensors."""

    name: str
    kind: str
    inputs: frozenset[int]
    outputs: frozenset[int]

    @property
    def kept(self) -> bool:
        """Whether it is never in eight bits."""
        return any(re.match(m, self.name) and kind in ("*", self.kind) for m, kind in _kept())


def _short(name: str) -> str:
    """The last two modules of a tensor's name, without their packages."""
    modules = name.split(";")[0].split("/")
    return "/".join(module.rpartition(".")[2] for module in modules[-2:])


def halved(flatbuffer: bytes) -> bytes:
    """The model with weights in half precision; it computes in float32."""
    with silent():
        work = imported("ai_edge_quantizer.quantizer").Quantizer(flatbuffer)
        work.add_weight_only_config(".*", "*", num_bits=16, algorithm_key="float_casting")
        result = work.quantize(enable_progress_report=False)
        return small_form(bytes(result.quantized_model))


def _kept() -> Iterator[tuple[str, str]]:
    """What is never in eight bits: patterns of modules, and operators."""
    yield from ((".*", operator) for operator in IN_FLOAT)
    yield from ((modules, "*") for modules in (*COORDINATES, ATTENTION))
    module, operators = DIFFERENCES
    yield from ((module, operator) for operator in operators)


def _tensors(
    interpreter: Any, details: list[Mapping[str, Any]], clips: Iterable[Mapping[str, FloatArray]]
) -> Iterator[Iterator[tuple[str, FloatArray]]]:
    """What tensors of floats hold, for one clip after the other."""
    floats = [detail for detail in details if detail["dtype"] is np.float32]
    runner = interpreter.get_signature_runner(SIGNATURE)
    for clip in clips:
        runner(**clip)
        yield ((d["name"], interpreter.get_tensor(d["index"])) for d in floats)
