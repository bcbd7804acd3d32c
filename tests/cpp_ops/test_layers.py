"""What the kernels compute is what the layers of the models are: DeGCN's, from torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from bhar_training.models.degcn import (
    GROUPS,
    DeformableTemporalConv,
    GroupedPointwise,
    RefinedGraphConv,
)
from bharsdk.kernels import ops

Array = npt.NDArray[np.float32]


def _numpy(values: Tensor) -> Array:
    array: Array = np.ascontiguousarray(values.detach().numpy())
    return array


def _channels_last(values: Tensor) -> Array:
    """[N, C, T, V] -> [N, T, V, C]."""
    return _numpy(values.permute(0, 2, 3, 1))


@pytest.mark.parametrize(("channels", "joints", "frames"), [(64, 25, 9), (128, 21, 1), (32, 5, 24)])
def test_the_refined_graph_convolution_is_two_kernels(
    channels: int, joints: int, frames: int
) -> None:
    """Relations, then aggregation with alpha and the refinement in weight and shift."""
    torch.manual_seed(0)
    layer = RefinedGraphConv(channels, channels, torch.rand(3, joints, joints)).eval()
    torch.nn.init.constant_(layer.alpha, 0.7)
    for refine in layer.refine:
        assert isinstance(refine, GroupedPointwise)
        torch.nn.init.normal_(refine.bias)
    x = torch.randn(2, channels, frames, joints)
    mean = x.mean(2)

    def maps(layers: torch.nn.ModuleList) -> Array:
        """[N, V, K * G, R]."""
        parts = torch.stack([each(mean) for each in layers], 1)
        return _numpy(parts.reshape(2, 3 * GROUPS, -1, joints).permute(0, 3, 1, 2))

    relation = ops.pairwise_tanh(maps(layer.query), maps(layer.key))
    refined = relation.reshape(2, 3, GROUPS, joints, joints, -1)
    value = np.stack([_channels_last(each(x)) for each in layer.value], 1)
    weight = torch.stack([each.weight.flatten(0, 1).T for each in layer.refine])
    shift = torch.stack([each.bias for each in layer.refine])
    got = ops.refined_aggregate(
        value,
        refined,
        _numpy(layer.alpha * weight),
        _numpy(layer.alpha * shift),
        _numpy(layer.adjacency),
    )
    layer.bn = torch.nn.Identity()  # type: ignore[assignment]
    np.testing.assert_allclose(got, _channels_last(layer(x)), atol=2e-5 * np.abs(got).max())


@pytest.mark.parametrize(("dilation", "stride"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_the_deformable_convolution_is_temporal_conv(dilation: int, stride: int) -> None:
    """Its interpolated taps are offsets; replicated edges and strides are the same."""
    torch.manual_seed(0)
    layer = DeformableTemporalConv(16, 24, dilation, stride)
    torch.nn.init.uniform_(layer.offsets, -2.0 * dilation, 2.0 * dilation)
    torch.nn.init.normal_(layer.bias)
    kernel, before, after = layer.kernel()
    x = torch.randn(2, 16, 13, 25)
    weight = _numpy(kernel[..., 0].permute(2, 1, 0))
    offsets = range(-before, after + 1)
    got = ops.temporal_conv(
        _channels_last(x), weight, _numpy(layer.bias), offsets, stride=stride, slope=0.1
    )
    wanted = torch.nn.functional.leaky_relu(layer(x), 0.1)
    np.testing.assert_allclose(got, _channels_last(wanted), atol=2e-5 * np.abs(got).max())
