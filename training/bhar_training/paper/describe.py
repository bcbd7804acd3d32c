"""Count size and cost of the models, by the conventions of the tools that papers quote.

The tools differ in what they see. ``thop`` counts layers (2 for every value of a BatchNorm), but no
einsum, MatMul or bare parameters. ``ptflops`` counts layers with biases and activations. ``fvcore``
traces convolutions, products and norms. *True* are the multiply-adds of convolutions and products,
whoever calls them. All four run on the public form of a model.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bhar_training.console.quiet import quiet
from bhar_training.data.batches import AnyFeatures, input_specs
from bhar_training.models import BackboneName, ModelConfig, ModelName, build_model
from bhar_training.models.action_model import Inputs
from bhar_training.models.backbones import make_backbone
from bhar_training.models.bharnet import BHaRNetE, BHaRNetExpertOnly, BHaRNetP
from bhar_training.models.degcn import DeGCN
from bhar_training.models.degcn_reference import plain_form
from bhar_training.models.prgcn import PRGCN
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import UsageError
from bharsdk.landmarks.skeleton import NTU25, OPENPOSE18

__all__ = ["ROWS", "Description", "Row", "describe", "example", "rows_of", "table", "true_gmacs"]

Given = Inputs | Tensor
"""What a row's model is called with: inputs by name, or x of a backbone."""
NTU_CLIP, NTU_CLASSES = (1, 3, 64, 25, 2), 120


@dataclass(frozen=True)
class Row:
    """One model on one input.

    Attributes:
        paper: (million parameters, GMACs) as the paper prints them.
        copies: networks of the ensemble (joint and bone).
        counter: the tool whose convention the paper follows.
        reference: the same two figures of the authors' code or an exact rebuilding, to more digits.
    """

    name: str
    model: str
    make: Callable[[], tuple[nn.Module, Given]]
    copies: int = 1
    paper: tuple[float, float] | None = None
    reference: tuple[float, float] | None = None
    counter: str = "thop"


@dataclass(frozen=True)
class Description:
    """What was counted.

    Parameters in millions as the counter of the row sees them; GMACs = 10^9.
    """

    row: str
    params_m: float
    params_true_m: float
    gmacs_thop: float
    gmacs_ptflops: float
    gmacs_fvcore: float
    gmacs_true: float
    paper_params_m: float | None
    paper_gmacs: float | None
    counter: str


def describe(row: Row) -> Description:
    """Count one row. The command raises BackendMissingError when a counter is missing."""
    with quiet():
        import thop
        from fvcore.nn import FlopCountAnalysis
        from ptflops import get_model_complexity_info

    torch.manual_seed(0)
    model, inputs = row.make()
    model = _public_form(model).eval()
    bare = sum(p.numel() for p in model.parameters())
    with quiet(), torch.no_grad():
        analysis = FlopCountAnalysis(model, (inputs,))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        fvcore = analysis.total()
        true = _counted(model, inputs)
        # By keyword: of a positional mapping it would take the length for the batch size.
        (argument,) = inspect.signature(model.forward).parameters
        ptflops, _ = get_model_complexity_info(
            model,
            (1,),
            input_constructor=lambda _: {argument: inputs},
            as_strings=False,
            print_per_layer_stat=False,
            backend="pytorch",
        )
        # Last: it leaves buffers on the modules.
        thop_macs, layers = thop.profile(model, (inputs,), verbose=False)
    parameters = layers if row.counter == "thop" else bare
    paper = row.paper or (None, None)
    giga = row.copies / 1e9
    return Description(
        row=row.name,
        params_m=parameters * row.copies / 1e6,
        params_true_m=bare * row.copies / 1e6,
        gmacs_thop=thop_macs * giga,
        gmacs_ptflops=ptflops * giga,
        gmacs_fvcore=fvcore * giga,
        gmacs_true=true * giga,
        paper_params_m=paper[0],
        paper_gmacs=paper[1],
        counter=row.counter,
    )


def true_gmacs(model: nn.Module, inputs: Given) -> float:
    """Count multiply-adds of convolutions and products, 10^9.

    Changes ``model`` to its public form.
    """
    with torch.no_grad():
        return _counted(_public_form(model).eval(), inputs) / 1e9


def _counted(model: nn.Module, inputs: Given) -> float:
    with FlopCounterMode(display=False) as counter:
        model(inputs)
    return float(counter.get_total_flops()) / 2


def example(features: AnyFeatures) -> Inputs:
    """Return noise in the shape of one clip's inputs, by name."""
    return {name: torch.randn(1, *spec.shape) for name, spec in input_specs(features).items()}


def rows_of(model: str) -> tuple[Row, ...]:
    """Return the rows of one model, or of ``all``. Raises UsageError naming the models."""
    found = tuple(row for row in ROWS if model in ("all", row.model))
    if not found:
        known = sorted({row.model for row in ROWS})
        raise UsageError(f"describe: got {model!r}, expected all or one of {', '.join(known)}")
    return found


def table(found: list[Description]) -> str:
    """Return a text table: one line a row, with the figures of the paper in the last column."""
    head = ("row", "params M", "thop", "ptflops", "fvcore", "true", "paper: params M, GMACs")
    lines = [f"{head[0]:34}{head[1]:>9}" + "".join(f"{x:>9}" for x in head[2:6]) + f"  {head[6]}"]
    for item in found:
        costs = (item.gmacs_thop, item.gmacs_ptflops, item.gmacs_fvcore, item.gmacs_true)
        paper = "-"
        if item.paper_params_m is not None:
            paper = f"{item.paper_params_m:g}, {item.paper_gmacs:g} ({item.counter})"
        numbers = "".join(f"{cost:9.3f}" for cost in costs)
        lines.append(f"{item.row:34}{item.params_m:9.3f}{numbers}  {paper}")
    return "\n".join(lines)


def as_json(found: list[Description]) -> str:
    """Return a JSON list of objects with the fields of :class:`Description`."""
    return json.dumps([asdict(item) for item in found], indent=2)


def _public_form(model: nn.Module) -> nn.Module:
    for module in list(model.modules()):
        if isinstance(module, DeGCN):
            plain_form(module)
    return model


def _expert() -> nn.Module:
    return make_backbone(BackboneName.DEGCN, NTU25, 3, 2, NTU_CLASSES)


def _experts(wrap: Callable[..., nn.Module]) -> Callable[[], tuple[nn.Module, Given]]:
    # Hands: two "persons", padded to the body's 25 joints.
    return lambda: (
        wrap(_expert(), _expert()),
        {"body": torch.randn(NTU_CLIP), "hands": torch.randn(NTU_CLIP)},
    )


def _st_gcn() -> tuple[nn.Module, Given]:
    backbone = make_backbone(BackboneName.ST_GCN, NTU25, 3, 2, NTU_CLASSES)
    return backbone, torch.randn(NTU_CLIP)


def _pr_gcn(prm: bool, tam: bool) -> Callable[[], tuple[nn.Module, Given]]:
    # Kinetics-skeleton is 2D with a confidence: two of three channels are refined.
    return lambda: (
        PRGCN(OPENPOSE18, 3, 400, refined=2, prm=prm, tam=tam),
        torch.randn(1, 3, 300, 18, 2),
    )


def _pr_gcn_ntu() -> tuple[nn.Module, Given]:
    return PRGCN(NTU25, 3, 60, refined=3), torch.randn(1, 3, 300, 25, 2)


def _shipped(name: ModelName) -> Callable[[], tuple[nn.Module, Given]]:
    def make() -> tuple[nn.Module, Given]:
        features = FeatureConfig()
        return build_model(ModelConfig(name), input_specs(features), 16), example(features)

    return make


ROWS: tuple[Row, ...] = (
    Row(
        "one expert (DeGCN)",
        "degcn",
        lambda: (_expert(), torch.randn(NTU_CLIP)),
        paper=(0.69, 0.83),
        reference=(0.687, 0.831),
    ),
    Row("ST-GCN", "st-gcn", _st_gcn),
    Row(
        "two experts, score fusion",
        "bharnet-e",
        _experts(BHaRNetExpertOnly),
        paper=(1.37, 1.66),
        reference=(1.374, 1.662),
    ),
    Row(
        "E expert-only, joint + bone",
        "bharnet-e",
        _experts(BHaRNetExpertOnly),
        copies=2,
        paper=(2.76, 3.32),
        reference=(2.748, 3.323),
    ),
    Row(
        "E, one modality",
        "bharnet-e-full",
        _experts(BHaRNetE),
        paper=(2.75, 2.72),
        reference=(2.751, 2.715),
    ),
    Row(
        "P, one modality",
        "bharnet-p",
        _experts(BHaRNetP),
        paper=(4.53, 1.71),
        reference=(4.528, 1.707),
    ),
    *(
        Row(
            f"PR-GCN, Kinetics, {name}",
            "pr-gcn",
            _pr_gcn(prm, tam),
            paper=paper,
            reference=reference,
            counter="ptflops",
        )
        for name, prm, tam, paper, reference in (
            ("no PRM, no TAM", False, False, (0.3, 1.3), (0.305, 1.38)),
            ("PRM", True, False, (0.3, 1.6), (0.330, 1.63)),
            ("TAM", False, True, (0.5, 1.4), (0.556, 1.43)),
            ("PRM and TAM", True, True, (0.5, 1.7), (0.581, 1.68)),
        )
    ),
    Row(
        "PR-GCN, NTU60, PRM and TAM",
        "pr-gcn",
        _pr_gcn_ntu,
        reference=(0.502, 2.33),
        counter="ptflops",
    ),
    *(Row(f"{name.value} as shipped", name.value, _shipped(name)) for name in ModelName),
)
"""Every model, on the input of its paper and as it ships."""
