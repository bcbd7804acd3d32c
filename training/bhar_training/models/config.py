"""The models by name, and the configuration of one. Imports no torch: the command line reads it.

Adding a model: its own file, and one line in :class:`ModelName`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bharsdk.errors import InputError

__all__ = ["BackboneName", "Fusion", "ModelConfig", "ModelName"]


class ModelName(enum.Enum):
    """The models that ``--model`` accepts: name, builder and whether it has two experts.

    The value is the name. builder: ``module:function`` below ``bhar_training.models``; the function
    takes (ModelConfig, input specs by name, number of classes). It is imported when a model is
    built. two_experts: the experts can be trained alone first (``--pretrain-epochs``).
    """

    BHARNET_E = "bharnet-e", "bharnet:build_expert_only", True
    """Two experts: the edge model."""
    BHARNET_E_FULL = "bharnet-e-full", "bharnet:build_e", True
    """With its two interactive branches."""
    BHARNET_P = "bharnet-p", "bharnet:build_p", True
    """Each branch classifies what attention to the other one gathers."""
    PR_GCN = "pr-gcn", "joined_prgcn:build", False
    """PR-GCN on one graph of body and hands."""
    BODY_EXPERT = "body-expert", "single_branch:build_body", False
    """One backbone, body only."""
    HAND_EXPERT = "hand-expert", "single_branch:build_hands", False
    """One backbone, hands only: spelling, say."""

    _value_: str
    builder: str
    two_experts: bool

    def __new__(cls, name: str, builder: str = "", two_experts: bool = False) -> ModelName:
        """Make one row of the table."""
        self = object.__new__(cls)
        self._value_, self.builder, self.two_experts = name, builder, two_experts
        return self


class BackboneName(enum.Enum):
    """The networks that a branch of BHaRNet can be made of."""

    DEGCN = "degcn"
    ST_GCN = "st-gcn"


class Fusion(enum.Enum):
    """How the class scores of several branches become one."""

    MEAN = "mean"
    NOISY_OR = "noisy-or"


@dataclass(frozen=True)
class ModelConfig:
    """Which model, and its regularization.

    dropout: part of the pooled features that is dropped, in training only. backbone, fusion: of
    BHaRNet and the single experts. prm, tam: PR-GCN's pose refinement and temporal aggregation (its
    ablation). window: length of the running means in frames; the model is then causal and can run
    frame by frame. None: the form of the papers.

    Raises InputError for a window below 1 or a dropout outside of 0 to 1.
    """

    name: ModelName
    dropout: float = 0.0
    backbone: BackboneName = BackboneName.DEGCN
    fusion: Fusion = Fusion.MEAN
    prm: bool = True
    tam: bool = True
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise InputError(f"model: got window {self.window}, expected at least 1 frame")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model: got dropout {self.dropout}, expected 0 to below 1")
