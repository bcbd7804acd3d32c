"""PR-GCN over one graph: the body with a hand at each wrist, or the body alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bhar_training.models.action_model import ActionModel, Inputs, InputSpecs
from bhar_training.models.backbones import spec_of
from bhar_training.models.config import ModelConfig
from bhar_training.models.prgcn import PRGCN
from bharsdk.landmarks.skeleton import MEDIAPIPE_HOLISTIC67

__all__ = ["JoinedPRGCN", "build"]


class JoinedPRGCN(ActionModel):
    """PR-GCN on one graph of 67 joints: the body with a hand that hangs from each wrist.

    joined: False where the data has no hands and the body is the whole graph.
    """

    def __init__(self, net: PRGCN, *, joined: bool = True) -> None:
        super().__init__()
        self.net, self.joined = net, joined
        self.reads = ("body", "hands") if joined else ("body",)

    def branches(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return (logits [N, classes],): there is one branch, so no part has a loss of its own."""
        body = inputs["body"]
        if self.joined:
            hands = inputs["hands"]
            body = torch.cat([body, hands[..., 0:1], hands[..., 1:2]], dim=3)
        return (self.net(body),)

    def heads(self) -> tuple[nn.Module, ...]:
        """Return PR-GCN's head."""
        return (self.net.head,)

    def _fold(self) -> None:
        self.net.fold()


def build(config: ModelConfig, specs: InputSpecs, classes: int) -> JoinedPRGCN:
    """Return a PR-GCN; it joins the hands where the data has them.

    Raises UsageError when the data has no body.
    """
    body, joined = spec_of(config, specs, "body"), "hands" in specs
    net = PRGCN(
        MEDIAPIPE_HOLISTIC67 if joined else body.skeleton,
        body.channels,
        classes,
        refined=body.coordinates,
        prm=config.prm,
        tam=config.tam,
        dropout=config.dropout,
        window=config.window,
    )
    return JoinedPRGCN(net, joined=joined)
