"""Target ``native``: bharsdk's own kernels. A deployed model as layers over features.

Every module of a deployed model (:mod:`bhar_training.models.deployed`) has one function here that
writes its layers. What two layers can do in one pass, they do: a residual is added and an
activation applied where the sums are made, and branches write side by side what others concatenate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bhar_export.graph.exported_model import ExportedModel
from bhar_export.native.attention_writer import (
    write_interaction,
    write_normalized,
    write_pooled_attention,
)
from bhar_export.native.degcn_writer import write_expert, write_features
from bhar_export.native.network_writer import Flow, NetworkWriter, no_native_form
from bhar_export.native.prgcn_writer import write_prgcn
from bhar_export.native.quantize import NetworkQuantizer
from bhar_export.quantization.job import ExportJob
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.targets import Target
from bhar_training.models.backbone import Backbone
from bhar_training.models.bharnet import (
    BHaRNetE,
    BHaRNetExpertOnly,
    BHaRNetP,
)
from bhar_training.models.config import Fusion
from bhar_training.models.deployed_attention import linear
from bhar_training.models.joined_prgcn import JoinedPRGCN
from bhar_training.models.prgcn import (
    PRGCN,
)
from bhar_training.models.single_branch import SingleBranch
from bharsdk.bundle.bundle import (
    GOLDEN,
    NATIVE_INTEGERS,
    NATIVE_LOGITS,
    NATIVE_NETWORK,
    NATIVE_WEIGHTS,
    Precision,
)
from bharsdk.engines.engine import Backend
from bharsdk.engines.native import network_of
from bharsdk.engines.network import (
    FusionRule,
    InputTensor,
    NetworkSpec,
    encode_network,
)
from bharsdk.errors import UsageError

__all__ = ["NativeQuantizer", "build", "models"]


def build(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], classes: int) -> ExportedModel:
    """The native network of ``model``, which is deployed, in float32.

    shapes: of what it reads, [C, T, V, M] by name. Raises UsageError for a model whose layers have
    no native form.
    """
    spec, weights = _written(model, shapes, classes)
    files = {NATIVE_NETWORK: encode_network(spec), NATIVE_WEIGHTS: weights}
    return _exported(Precision.FP32, files, tuple(shapes))


class NativeQuantizer:
    """A ``quantization.selection.Quantizer``; ``clips``: batches of what the model reads."""

    def __init__(
        self,
        model: nn.Module,
        shapes: Mapping[str, tuple[int, ...]],
        classes: int,
        clips: Iterable[Mapping[str, npt.NDArray[np.float32]]],
        precision: Precision = Precision.INT8,
    ) -> None:
        spec, weights = _written(model, shapes, classes)
        network = network_of({NATIVE_NETWORK: encode_network(spec), NATIVE_WEIGHTS: weights})
        self._quantizer = NetworkQuantizer(spec, weights, network, clips)
        self._reads, self._precision = tuple(shapes), precision

    @property
    def layers(self) -> tuple[str, ...]:
        """By their place in the network."""
        return self._quantizer.layers

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> ExportedModel:
        """The network in integers."""
        made = self._quantizer.quantized(ranges, in_float)
        files = {
            NATIVE_NETWORK: encode_network(made.spec),
            NATIVE_WEIGHTS: made.weights,
            NATIVE_INTEGERS: made.integers,
        }
        form = _exported(self._precision, files, self._reads, NATIVE_LOGITS)
        return replace(form, nodes=lambda: made.nodes)


def _written(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], classes: int
) -> tuple[NetworkSpec, bytes]:
    causal = _window_of(model) is not None
    sources = {name: InputTensor(*shape) for name, shape in shapes.items()}
    if causal:
        sources = {name: replace(source, frames=1) for name, source in sources.items()}
    writer = NetworkWriter(tuple(sources.values()))
    with torch.no_grad():
        _write_model(writer, model, sources)
    return writer.spec(classes, _fusion(model), causal=causal), writer.weights()


def _exported(
    precision: Precision,
    files: Mapping[str, bytes],
    reads: tuple[str, ...],
    golden: str = GOLDEN["logits"],
) -> ExportedModel:
    network = network_of(files)

    def run(inputs: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        return network.run([np.ascontiguousarray(inputs[name]) for name in reads])

    def embed(
        inputs: Mapping[str, npt.NDArray[np.float32]],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return network.embed([np.ascontiguousarray(inputs[name]) for name in reads])

    form = ExportedModel(Target.NATIVE, precision, files, reads, run, Backend.NATIVE, golden)
    return replace(form, embed=embed) if network.embedding_size else form


def _window_of(model: nn.Module) -> int | None:
    """Of the running means of the model, if it is causal."""
    nets = [m for m in model.modules() if isinstance(m, Backbone | PRGCN)]
    return next((net.window for net in nets), None)


def _fusion(model: nn.Module) -> FusionRule:
    if not isinstance(model, BHaRNetExpertOnly):
        return FusionRule.MEAN
    return FusionRule(model.fusion.value)


def _write_model(w: NetworkWriter, model: nn.Module, sources: dict[str, InputTensor]) -> None:
    """Write ``model`` by the writer of its class. Raises UsageError for a class without one."""
    write = MODEL_WRITERS.get(type(model))
    if write is None:
        raise no_native_form(model)
    write(w, model, sources, {name: i for i, name in enumerate(sources)})


def _write_experts(
    w: NetworkWriter,
    model: BHaRNetExpertOnly,
    sources: dict[str, InputTensor],
    index: dict[str, int],
) -> None:
    write_expert(w, model.body, index["body"], sources["body"])
    write_expert(w, model.hand, index["hands"], sources["hands"])


def _write_bharnet_e(
    w: NetworkWriter, model: BHaRNetE, sources: dict[str, InputTensor], index: dict[str, int]
) -> None:
    _write_all_branches(w, model, _write_branches(w, model, sources, index))


def _write_bharnet_p(
    w: NetworkWriter, model: BHaRNetP, sources: dict[str, InputTensor], index: dict[str, int]
) -> None:
    body, hand = _write_branches(w, model, sources, index)
    write_pooled_attention(w, body, hand, model.body_attention)
    write_pooled_attention(w, hand, body, model.hand_attention)


def _write_single(
    w: NetworkWriter, model: SingleBranch, sources: dict[str, InputTensor], index: dict[str, int]
) -> None:
    (name,) = model.reads
    write_expert(w, model.net, index[name], sources[name])


MODEL_WRITERS: dict[type[nn.Module], Callable[..., None]] = {
    BHaRNetExpertOnly: _write_experts,
    BHaRNetE: _write_bharnet_e,
    BHaRNetP: _write_bharnet_p,
    SingleBranch: _write_single,
    JoinedPRGCN: write_prgcn,
}
"""Class of a model -> what writes it: (writer, model, sources by name, number of each source)."""


def _write_branches(
    w: NetworkWriter,
    model: BHaRNetExpertOnly,
    sources: dict[str, InputTensor],
    index: dict[str, int],
) -> tuple[Flow, Flow]:
    body = write_features(w, model.body, index["body"], sources["body"])
    return body, write_features(w, model.hand, index["hands"], sources["hands"])


def _write_all_branches(w: NetworkWriter, model: BHaRNetE, experts: tuple[Flow, Flow]) -> None:
    """Write two experts, and two branches that look at the other expert."""
    body, hand = experts
    of_body, of_hand = write_normalized(w, body), write_normalized(w, hand)
    # Of four logits the sum is four times the mean: exact in floating point.
    factor = 4 if model.fusion is Fusion.MEAN else 1
    for x, net in ((body, model.body), (hand, model.hand)):
        w.classify(x, _times(factor, net.head), net.feature_window, greatest=False)
    branches = (
        (body, of_body, of_hand, model.body_interaction),
        (hand, of_hand, of_body, model.hand_interaction),
    )
    for x, own, other, branch in branches:
        write_interaction(w, x, own, other, branch, _times(factor, branch.head))


def _times(factor: int, layer: nn.Module | Tensor) -> nn.Linear:
    assert isinstance(layer, nn.Linear)
    return linear(layer.weight * factor, layer.bias * factor)


def models(job: ExportJob) -> Iterator[ExportedModel]:
    """Yield the network in float32, and in integers if asked for.

    Raises UsageError for half precision, which the kernels do not have.
    """
    model = job.model.module, job.model.shapes, job.model.classes
    yield build(*model)
    if job.precision is Precision.FP16:
        raise UsageError("target native computes in float32 or integers: fp32, int8 or mixed")
    if job.precision.in_integers:
        clips = job.clips.batches(tuple(job.model.shapes))
        yield job.chosen(NativeQuantizer(*model, clips, job.precision))
