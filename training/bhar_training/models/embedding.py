"""The embedding of a clip, beside its logits: the pooled features that the heads classify."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bhar_training.models.action_model import ActionModel, Inputs
from bharsdk.errors import UsageError

__all__ = ["WithEmbedding"]


class WithEmbedding(nn.Module):
    """A model that gives its logits and its pooled features from one pass.

    Raises UsageError for a model whose heads classify features before they are pooled.
    """

    def __init__(self, model: ActionModel) -> None:
        super().__init__()
        if not model.heads():
            raise UsageError(
                f"embedding: got a {type(model).__name__}, which pools no features for its heads,"
                " expected a bharnet-e, a single expert or a pr-gcn"
            )
        self.model = model

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return logits [N, classes] and embedding [N, D] of inputs [N, C, T, V, M] by name."""
        seen: list[Tensor] = []

        def look(_head: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen.append(given[0].flatten(1))

        # For this pass alone: others share the model, and want nothing but logits.
        hooks = [head.register_forward_pre_hook(look) for head in self.model.heads()]
        try:
            logits: Tensor = self.model(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return logits, torch.cat(seen, 1)
