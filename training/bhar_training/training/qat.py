"""Quantization-aware fine-tuning: training computes with the roundings of the INT8 export.

Weights become integers in [-63, 63] with one scale for each output. Inputs of convolutions, linear
layers and aggregations over static adjacencies become bytes. Their quantization ranges are the
least and the greatest value over some clips, as in the exporter. The gradient passes a rounding
unchanged; beyond the range it is zero. Layers that the exporter leaves in float stay in float.
(Jacob et al. 2018, arXiv:1712.05877, section 3)

Each output has its own scale, so folding a BatchNorm into the weights does not change the
rounding. DeTGC's weights are rounded before its samples fall between frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from bhar_training.models.action_model import Inputs
from bhar_training.models.backbone import Backbone
from bhar_training.models.degcn import (
    DeformableTemporalConv,
    GroupedPointwise,
    RefinedGraphConv,
)
from bhar_training.models.fold import bn_scale_shift
from bhar_training.models.prgcn import PRGCN, GraphConv
from bhar_training.models.stgcn import Block
from bharsdk.errors import InputError

__all__ = ["QuantizedBranches", "quantized_layers", "rounded_input", "rounded_weight"]

LAYERS = (nn.Conv2d, nn.Linear, GroupedPointwise, DeformableTemporalConv)
MOST_INTEGER = 63
"""Of a weight, as ``bhar_export.native.quantize`` has it."""
AT_ONCE = 32
LEAST_SCALE = 1e-6
Aggregated = tuple[nn.Module, nn.Module]
"""A convolution, and the BatchNorm behind the aggregation of its results."""
Range = tuple[float, int]
"""(step of a byte, the byte that is zero)."""


def quantized_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of ``model`` whose weights and inputs the exporter rounds, by name.

    Two kinds stay in float, as in ``bhar_export.onnx.float_nodes``: layers that read coordinates,
    up to the first convolutions, and layers that refine topologies.
    """
    in_float = {part for module in model.modules() for part in _parts_in_float(module)}
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, LAYERS) and module not in in_float
    }


def _parts_in_float(module: nn.Module) -> Iterator[nn.Module]:
    roots: list[object] = []
    if isinstance(module, PRGCN):
        roots = [module.refine, module.enter_position, module.enter_motion]
    elif isinstance(module, Backbone):
        roots = [getattr(module.blocks[0], name, None) for name in ("graph", "residual_graph")]
    elif isinstance(module, RefinedGraphConv):
        roots = [module.query, module.key, module.refine]
    for root in roots:
        if isinstance(root, nn.Module):
            yield from root.modules()


def rounded_weight(layer: nn.Module) -> Tensor:
    """Return the weight of ``layer``, rounded to integers times the scale of their output."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    rows = weight.flatten(0, 1) if isinstance(layer, GroupedPointwise) else weight
    most = rows.detach().flatten(1).abs().amax(1)
    scale = torch.where(most > 0, most / MOST_INTEGER, 1.0)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    rounded = torch.fake_quantize_per_channel_affine(
        rows, scale, zero, 0, -MOST_INTEGER, MOST_INTEGER
    )
    return rounded.view_as(weight)


def rounded_input(x: Tensor, limits: Range) -> Tensor:
    """Return ``x``, rounded to the 256 values of ``limits``."""
    return torch.fake_quantize_per_tensor_affine(x, *limits, 0, 255)


class QuantizedBranches(nn.Module):
    """The branches of a model, computed with the roundings of its INT8 export.

    plain: inputs by name -> branches, without roundings; its weights learn, and stay floats.
    examples: inputs float32 [N, C, T, V, M] by name, of clips that were not augmented.
    :meth:`train` freezes the statistics of BatchNorm, which the exporter folds into weights. It
    also measures again which values each layer meets in ``examples``. These ranges depend on the
    weights alone, so an interrupted run continues with the same ones.
    """

    def __init__(self, plain: nn.Module, examples: Inputs) -> None:
        super().__init__()
        self.plain = plain
        self._layers = quantized_layers(plain)
        self._aggregated = _aggregated(self._layers, plain)
        self._examples = examples
        self._ranges: dict[str, Range] = {}

    def train(self, mode: bool = True) -> QuantizedBranches:
        """Set the mode; training measures the ranges and freezes BatchNorm."""
        if mode:
            super().train(False)
            self._ranges = self._measured()
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return the logits of each branch, [N, classes]."""

        def rounding(name: str, x: Tensor) -> Tensor:
            return rounded_input(x, self._ranges[name])

        names = [name for name in self._layers if name in self._ranges]
        weights = {f"{name}.weight": rounded_weight(self._layers[name]) for name in names}
        with self._hooked(rounding):
            branches: tuple[Tensor, ...] = functional_call(self.plain, weights, (inputs,))
        return branches

    @torch.no_grad()
    def _measured(self) -> dict[str, Range]:
        """Of each layer that runs, the least and the greatest of its inputs, zero included."""
        seen: dict[str, tuple[float, float]] = {}

        def observing(name: str, x: Tensor) -> Tensor:
            least, most = seen.get(name, (0.0, 0.0))
            low, high = torch.aminmax(x)
            if not (torch.isfinite(low) and torch.isfinite(high)):
                raise InputError(
                    f"training: {name} meets values that are not finite, expected finite ones:"
                    " train again with a smaller --lr, in another --out"
                )
            seen[name] = min(least, float(low)), max(most, float(high))
            return x

        device = next(self.parameters()).device
        with self._hooked(observing):
            parts = {name: torch.split(x, AT_ONCE) for name, x in self._examples.items()}
            for batch in zip(*parts.values(), strict=True):
                self.plain({name: x.to(device) for name, x in zip(parts, batch, strict=True)})
        return {name: _range(*limits) for name, limits in seen.items()}

    @contextlib.contextmanager
    def _hooked(self, change: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
        """``change`` what each layer reads, by its name, and what aggregations read, by theirs."""
        with contextlib.ExitStack() as stack:
            for name, layer in self._layers.items():

                def before(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> Tensor:
                    return change(name, inputs[0])

                stack.callback(layer.register_forward_pre_hook(before).remove)
            for name, (conv, bn) in self._aggregated.items():
                factor = _scale(conv, bn)

                def after(
                    _: nn.Module, x: object, y: Tensor, name: str = name, factor: Tensor = factor
                ) -> Tensor:
                    return change(name, y * factor) / factor

                stack.callback(conv.register_forward_hook(after).remove)
            yield


def _aggregated(layers: Mapping[str, nn.Module], model: nn.Module) -> dict[str, Aggregated]:
    """The convolutions among ``layers`` whose results are aggregated over joints, and what follows.

    Refined topologies aggregate in floats.
    """
    found: dict[str, Aggregated] = {}
    for name, module in model.named_modules():
        match module:
            case GraphConv():
                parts = f"{name}.conv", module.conv, module.bn
            case Block():
                parts = f"{name}.graph", module.graph, module.graph_bn
            case _:
                continue
        if parts[0] in layers:
            found[f"{parts[0]}, aggregated"] = parts[1:]
    return found


def _scale(conv: nn.Module, bn: nn.Module) -> Tensor:
    """[1, C, 1, 1]: what the exporter multiplies the results of ``conv`` by, for ``bn``."""
    assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
    scale, _ = bn_scale_shift(bn)
    # A channel that has died is nowhere read: any factor does that can be divided by.
    scale = torch.where(scale.abs() < LEAST_SCALE, LEAST_SCALE, scale.detach())
    return scale.repeat(conv.out_channels // len(scale)).view(1, -1, 1, 1)


def _range(least: float, most: float) -> Range:
    step = max((most - least) / 255, 1e-20)
    return step, round(-least / step)
