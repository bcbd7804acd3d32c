"""What the heads of a model classify: its embedding, beside its logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bhar_training.models.bharnet import ActionModel
from bharsdk.errors import UsageError

__all__ = ["WithEmbedding"]


class WithEmbedding(nn.Module):
    """``model`` and its pooled features, of one pass.

    Raises UsageError for a model whose heads classify what they never pool.
    """

    def __init__(self, model: ActionModel) -> None:
        super().__init__()
        if not model.heads():
            raise UsageError(
                f"embedding: got a {type(model).__name__}, which pools no features for its heads,"
                " expected a bharnet-e, a single expert or a pr-gcn"
            )
        self.model = model

    def forward(
        self, body: Tensor | None = None, hands: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [N, classes] and embedding [N, D] of body [N, C, T, V, M] and hands."""
        seen: list[Tensor] = []

        def look(_head: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen.append(given[0].flatten(1))

        # For this pass alone: others share the model, and want nothing but logits.
        hooks = [head.register_forward_pre_hook(look) for head in self.model.heads()]
        try:
            logits: Tensor = self.model(body, hands)
        finally:
            for hook in hooks:
                hook.remove()
        return logits, torch.cat(seen, 1)
