"""One expert alone, of one input."""

from __future__ import annotations

from torch import Tensor, nn

from bhar_training.models.action_model import ActionModel, Inputs, InputSpecs
from bhar_training.models.backbone import Backbone
from bhar_training.models.backbones import backbone_of
from bhar_training.models.config import ModelConfig

__all__ = ["SingleBranch", "build_body", "build_hands"]


class SingleBranch(ActionModel):
    """One expert alone: a backbone that reads one input and ignores the others."""

    def __init__(self, net: Backbone, name: str) -> None:
        super().__init__()
        self.net, self.reads = net, (name,)

    def branches(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return (logits [N, classes],)."""
        return (self.net(inputs[self.reads[0]]),)

    def heads(self) -> tuple[nn.Module, ...]:
        """Return the backbone's head."""
        return (self.net.head,)

    def _fold(self) -> None:
        self.net.fold()


def build_body(config: ModelConfig, specs: InputSpecs, classes: int) -> SingleBranch:
    """Return a body expert. Raises UsageError when the data has no body."""
    return SingleBranch(backbone_of(config, specs, "body", classes), "body")


def build_hands(config: ModelConfig, specs: InputSpecs, classes: int) -> SingleBranch:
    """Return a hand expert. Raises UsageError when the data has no hands."""
    return SingleBranch(backbone_of(config, specs, "hands", classes), "hands")
