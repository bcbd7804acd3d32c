"""DeGCN, single branch: the backbone of BHaRNet (Myung et al., IEEE TIP 2024).

Ten blocks of a channel-wise refined graph convolution and a multi-branch temporal convolution with
learnable time offsets. Input x: [N, C, T, V, M]; features: [N, 256, ceil(T / 4), M, V].

Two things differ from the public form without changing what is computed:

- **DeTGC** samples the clip at learnable times and convolves the samples. Offsets are shared over
  channels and joints, so linear interpolation followed by the convolution *is* a convolution whose
  taps are the interpolation weights; here it runs as one, in training too (no gather).
- means over time commute with 1x1 convolutions, so queries and keys are computed from the mean.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.backbone import Backbone
from bhar_training.models.causal import CausalMaxPool, RunningTopology
from bhar_training.models.deployed import (
    SLOPE,
    DeployedRefinedGraphConv,
    DeployedStaticGraphConv,
    DeployedTemporalConv,
    FoldedTemporalConv,
    aggregate,
)
from bhar_training.models.fold import (
    Affine,
    Shift,
    bn_scale_shift,
    fold_aggregated_bn,
    fold_conv_bn,
    pointwise,
    side_by_side,
)

__all__ = ["DeGCN", "DeformableTemporalConv"]

GROUPS = 4
OFFSETS = 4
CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


class ConvBN(nn.Module):
    """1x1 convolution, strided over time, then BatchNorm."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, stride=(stride, 1), groups=groups)
        self.bn = nn.BatchNorm2d(outputs)
        self.stride, self.groups = stride, groups

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', ceil(T / stride), V]."""
        out: Tensor = self.bn(self.conv(x))
        return out

    def deploy(self) -> nn.Module:
        """The same with BatchNorm folded in."""
        weight, bias = fold_conv_bn(self.conv.weight, self.conv.bias, self.bn)
        return pointwise(weight, bias, self.stride, self.groups)


class GroupedPointwise(nn.Module):
    """A 1x1 convolution in four groups of channels, as one MatMul: faster on CPUs in training."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(GROUPS, outputs // GROUPS, inputs // GROUPS))
        self.bias = nn.Parameter(torch.zeros(outputs))
        # He initialization over the fan out of the grouped convolution.
        gain = math.sqrt(2.0 / (1 + SLOPE**2))
        nn.init.normal_(self.weight, 0.0, gain / math.sqrt(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, ...] -> [N, C', ...]."""
        n, c, *rest = x.shape
        grouped = x.reshape(n, GROUPS, c // GROUPS, -1)
        out = torch.matmul(self.weight, grouped)
        # In the precision of the product: a float32 bias would promote all that follows.
        out = out + self.bias.to(out.dtype).view(GROUPS, -1, 1)
        return out.view(n, -1, *rest)

    def deploy(self, scale: Tensor | None = None) -> nn.Conv2d:
        """The convolution, its outputs multiplied by ``scale`` ([C'] or [1])."""
        weight, bias = self.weight.detach().flatten(0, 1), self.bias.detach()
        if scale is not None:
            weight, bias = weight * scale.view(-1, 1), bias * scale
        return pointwise(weight[..., None, None], bias, groups=GROUPS)


class DeformableTemporalConv(nn.Module):
    """DeTGC: convolve the clip sampled at ``t * stride + offset`` for learnable offsets.

    Sampling is linear between neighboring frames, frames beyond the clip repeat its edge.
    x: [N, C, T, V] -> [N, C', ceil(T / stride), V], before the BatchNorm that follows it.
    (Myung et al. 2024, section III-C; offsets start at linspace(-2d, 2d) for dilation d)

    causal: offsets as far apart, that end at zero and never pass it.
    """

    def __init__(
        self, inputs: int, outputs: int, dilation: int, stride: int, *, causal: bool = False
    ) -> None:
        super().__init__()
        reach = 2.0 * dilation
        last = 0.0 if causal else reach
        self.causal = causal
        self.offsets = nn.Parameter(torch.linspace(last - 2 * reach, last, OFFSETS))
        self.weight = nn.Parameter(torch.empty(outputs, inputs, OFFSETS))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.stride = stride
        nn.init.kaiming_normal_(self.weight, a=SLOPE, mode="fan_out", nonlinearity="leaky_relu")

    def kernel(self) -> tuple[Tensor, int, int]:
        """(kernel [O, I, K, 1], frames before, frames after): the convolution this equals."""
        offsets = self._clamped()
        first = math.floor(float(offsets.detach().min()))
        last = math.floor(float(offsets.detach().max())) + 1
        # An offset of zero has no part of the frame after it.
        first, last = min(first, 0), 0 if self.causal else max(last, 0)
        taps = torch.arange(first, last + 1, device=offsets.device, dtype=offsets.dtype)
        # A sample at time o is 1 - part of frame floor(o) and part of the next one. Written so, and
        # not as a hat function, an offset on a whole frame still has the gradient of its right.
        before = offsets.detach().floor()[:, None]
        part = offsets[:, None] - before
        mix = (taps == before) * (1.0 - part) + (taps == before + 1) * part
        return (self.weight @ mix)[..., None], -first, last

    def _clamped(self) -> Tensor:
        return self.offsets.clamp(max=0.0) if self.causal else self.offsets

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kernel, before, after = self.kernel()
        # As a concatenation: F.pad would leave bfloat16 under autocast.
        first, last = x[:, :, :1], x[:, :, -1:]
        edges = first.expand(-1, -1, before, -1), last.expand(-1, -1, after, -1)
        padded = torch.cat([edges[0], x, edges[1]], dim=2)
        return F.conv2d(padded, kernel, self.bias, stride=(self.stride, 1))

    def deploy(self, bn: nn.BatchNorm2d) -> FoldedTemporalConv:
        """The convolution that this, and the BatchNorm after it, are once trained."""
        kernel, before, after = self.kernel()
        weight, bias = fold_conv_bn(kernel, self.bias, bn)
        sampled, _ = fold_conv_bn(self.weight[..., None], self.bias, bn)
        return FoldedTemporalConv(
            pointwise(weight, bias, self.stride),
            before,
            after,
            pointwise(sampled, bias, self.stride),
            tuple(self._clamped().tolist()),
        )


class StaticGraphConv(nn.Module):
    """Block 1: 1x1 convolution, then three learnable adjacencies, summed; BatchNorm."""

    def __init__(self, inputs: int, outputs: int, partitions: Tensor) -> None:
        super().__init__()
        self.adjacency = nn.Parameter(partitions.clone())
        self.conv = nn.Conv2d(inputs, outputs * len(partitions), 1)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', T, V]."""
        out: Tensor = self.bn(aggregate(self.conv(x), self.adjacency.transpose(1, 2)))
        return out

    def deploy(self) -> nn.Module:
        """The same with BatchNorm folded in."""
        conv, shift = fold_aggregated_bn(self.conv, self.bn, len(self.adjacency))
        return DeployedStaticGraphConv(conv, _transposed(self.adjacency), shift)


def _transposed(adjacency: Tensor) -> Tensor:
    return adjacency.detach().transpose(1, 2).clone()


class RefinedGraphConv(nn.Module):
    """Channel-wise topology refinement (CTR-GC) in four channel groups; BatchNorm.

    Per sample and channel the adjacency is ``A + alpha * conv4(tanh(q_i - k_j))`` with q and k the
    means over time of 1x1 convolutions. (Chen et al. 2021, eq. 3-8, in DeGCN's grouped form)

    The adjacencies of all samples and channels are the largest tensor of the model, so they are
    written once, by one product: alpha and the bias go into its weights, and the static A, which
    all channels share, is one more row of what is weighted.

    running: of the causal form, whose means are those of the frames so far.
    """

    def __init__(
        self, inputs: int, outputs: int, partitions: Tensor, running: RunningTopology | None = None
    ) -> None:
        super().__init__()
        self.running = running
        k, relation = len(partitions), max(inputs // 8, GROUPS)
        self.adjacency = nn.Parameter(partitions.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.query = nn.ModuleList(GroupedPointwise(inputs, relation) for _ in range(k))
        self.key = nn.ModuleList(GroupedPointwise(inputs, relation) for _ in range(k))
        self.value = nn.ModuleList(GroupedPointwise(inputs, outputs) for _ in range(k))
        self.refine = nn.ModuleList(GroupedPointwise(relation, outputs) for _ in range(k))
        self.bn = nn.BatchNorm2d(outputs)

    def topology(self, mean: Tensor, k: int) -> Tensor:
        """mean [N, C, V] -> refined adjacencies of partition k, [N * C', V (to), V (from)]."""
        query, key = self.query[k](mean), self.key[k](mean)
        difference = torch.tanh(query[..., :, None] - key[..., None, :])
        n, relation, v, _ = difference.shape
        grouped = difference.view(n, GROUPS, relation // GROUPS, v * v)
        static = self.adjacency[k].to(grouped.dtype).reshape(1, 1, 1, v * v)
        ones = torch.ones_like(static)
        rows = torch.cat([static, ones], 2).expand(n, GROUPS, -1, -1)
        refine = self.refine[k]
        assert isinstance(refine, GroupedPointwise)
        refined = torch.cat([refine.bias.view(GROUPS, -1, 1), refine.weight], 2) * self.alpha
        weight = torch.cat([torch.ones_like(refined[:, :, :1]), refined], 2)
        return torch.matmul(weight, torch.cat([rows, grouped], 2)).view(-1, v, v)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', T, V]."""
        if self.running is None:
            return self._normalized(x, x.mean(2))
        means, parts = self.running.split(x)
        return self.running.join(self._normalized(parts, means), x.shape[2])

    def _normalized(self, x: Tensor, mean: Tensor) -> Tensor:
        n, _, t, v = x.shape
        out: Tensor | None = None
        for k, project in enumerate(self.value):
            value, topology = project(x).view(-1, t, v), self.topology(mean, k).transpose(1, 2)
            out = value @ topology if out is None else torch.baddbmm(out, value, topology)
        assert out is not None
        normalized: Tensor = self.bn(out.view(n, -1, t, v))
        return normalized

    def deploy(self) -> nn.Module:
        """The same with BatchNorm and alpha folded in."""
        scale, shift = bn_scale_shift(self.bn)
        return DeployedRefinedGraphConv(
            _deployed(self.query),
            _deployed(self.key),
            _deployed(self.value, scale),
            _deployed(self.refine, self.alpha.detach(), inputs_too=True),
            _transposed(self.adjacency),
            Shift(shift),
            self.running,
        )


def _deployed(
    layers: nn.ModuleList, scale: Tensor | None = None, *, inputs_too: bool = False
) -> nn.Conv2d:
    """The layers of all partitions as one; see :func:`side_by_side`."""
    convs = [layer.deploy(scale) for layer in layers if isinstance(layer, GroupedPointwise)]
    return side_by_side(convs, inputs_too=inputs_too)


class MultiBranchTemporalConv(nn.Module):
    """Four branches of C/4 channels: DeTGC, DeTGC dilated by 2, max pooling, plain 1x1."""

    def __init__(self, channels: int, stride: int, *, causal: bool = False) -> None:
        super().__init__()
        quarter = channels // 4
        self.reduce = nn.ModuleList(ConvBN(channels, quarter) for _ in range(3))
        self.near = DeformableTemporalConv(quarter, quarter, 1, stride, causal=causal)
        self.far = DeformableTemporalConv(quarter, quarter, 2, stride, causal=causal)
        self.near_bn, self.far_bn = nn.BatchNorm2d(quarter), nn.BatchNorm2d(quarter)
        self.pool_bn = nn.BatchNorm2d(quarter)
        self.plain = ConvBN(channels, quarter, stride)
        self.pool: nn.Module = nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))
        if causal:
            self.pool = CausalMaxPool(3, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C, ceil(T / stride), V]."""
        near, far, pooled = (F.leaky_relu(reduce(x), SLOPE) for reduce in self.reduce)
        return torch.cat(
            [
                self.near_bn(self.near(near)),
                self.far_bn(self.far(far)),
                self.pool_bn(self.pool(pooled)),
                self.plain(x),
            ],
            dim=1,
        )

    def deploy(self) -> nn.Module:
        """The same with DeTGC and BatchNorm folded and the three reductions joined in one."""
        reduced = [branch.deploy() for branch in self.reduce]  # type: ignore[operator]
        reduce = pointwise(
            torch.cat([conv.weight for conv in reduced]), torch.cat([c.bias for c in reduced])
        )
        affine = Affine(*(c.view(1, -1, 1, 1) for c in bn_scale_shift(self.pool_bn)))
        near, far = self.near.deploy(self.near_bn), self.far.deploy(self.far_bn)
        return DeployedTemporalConv(reduce, near, far, self.pool, affine, self.plain.deploy())


class Block(nn.Module):
    """x1 = act(GC(x) + res1(x)); act(TCN(x1) + res2(x)). The first block has no res2.

    running: of the causal form.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        partitions: Tensor,
        *,
        first: bool,
        running: RunningTopology | None = None,
    ):
        super().__init__()
        groups = 1 if first else GROUPS
        self.graph: nn.Module = (
            StaticGraphConv(inputs, outputs, partitions)
            if first
            else RefinedGraphConv(inputs, outputs, partitions, running)
        )
        self.temporal: nn.Module = MultiBranchTemporalConv(
            outputs, stride, causal=running is not None
        )
        self.residual_graph: nn.Module = (
            nn.Identity() if inputs == outputs else ConvBN(inputs, outputs, 1, groups)
        )
        same = inputs == outputs and stride == 1
        self.residual: nn.Module | None = None
        if not first:
            self.residual = nn.Identity() if same else ConvBN(inputs, outputs, stride, groups)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', ceil(T / stride), V]."""
        y = F.leaky_relu(self.graph(x) + self.residual_graph(x), SLOPE)
        y = self.temporal(y)
        if self.residual is not None:
            y = y + self.residual(x)
        return F.leaky_relu(y, SLOPE)


class DeGCN(Backbone):
    """One branch: skeleton x [N, C, T, V, M] -> logits [N, classes]."""

    def make_blocks(self, channels: int, partitions: Tensor) -> nn.ModuleList:
        """Ten blocks; the first has static adjacencies and no second residual."""
        widths = (channels, *CHANNELS)
        blocks = nn.ModuleList()
        for i in range(len(CHANNELS)):
            running = None if self.window is None else RunningTopology.at(self.window, STRIDES[:i])
            blocks.append(
                Block(
                    *(widths[i], widths[i + 1], STRIDES[i], partitions),
                    first=i == 0,
                    running=running,
                )
            )
        for module in blocks.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, a=SLOPE, mode="fan_out", nonlinearity="leaky_relu"
                )
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        return blocks

    def fold_block(self, block: nn.Module) -> None:
        """Deploy the parts of ``block``."""
        for name in ("graph", "temporal", "residual_graph", "residual"):
            part = getattr(block, name)
            if part is not None and not isinstance(part, nn.Identity):
                setattr(block, name, part.deploy())
