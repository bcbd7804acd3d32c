"""The native network of a bundle: layers over features, and the constants that they name.

::

    native/network.json   NetworkSpec: what flows from layer to layer; data, no code
    native/weights.bin    float32, little-endian: constants, and the scales of integers
    native/integers.bin   int8: constants in integers, of a quantized network

A constant in integers is its values times scales: one for each of its last dimension, and of its
first, the groups, if it has more than two. Where a layer says how its input becomes bytes, it
computes with the integers, of magnitude 63 or less, those of taps between frames folded to whole
frames first (:mod:`bharsdk.engines.fold_taps`); elsewhere they are turned into floats as the
network is loaded. Keys that have their default may be missing.

Features are [frames, persons, joints, channels]. A layer reads and writes parts of their channels;
shapes are checked layer by layer as the network is built, before anything is computed.
(cpp_ops/include/bhar_ops/network.h says what each layer computes.)
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk import _ops
from bharsdk.bundle.manifest import parse_object
from bharsdk.engines.fold_taps import folded_taps
from bharsdk.engines.network_cost import check_network_cost
from bharsdk.errors import BharError, BundleError, InputError
from bharsdk.files.codec import KEY, check_version, from_json_dict, to_json_dict
from bharsdk.files.limits import MAX_NETWORK_JSON_BYTES
from bharsdk.files.untrusted import reason_of

__all__ = [
    "NETWORK_FORMAT_VERSION",
    "Activation",
    "Aggregate",
    "Attention",
    "Classify",
    "Constant",
    "Conv",
    "Difference",
    "Excite",
    "FusionRule",
    "Gelu",
    "Input",
    "InputTensor",
    "Layer",
    "NetworkSpec",
    "Normalize",
    "Part",
    "Pool",
    "PooledAttention",
    "Quantization",
    "Refinement",
    "build_network",
    "encode_network",
    "scales_shape",
]

FloatArray = npt.NDArray[np.float32]
IntegerArray = npt.NDArray[np.int8]

NETWORK_FORMAT_VERSION = 2


@dataclass(frozen=True)
class Constant:
    """A dense array: where it begins, in values, and its shape.

    scales: where its scales begin in the float32 array if it is in integers, else None.
    """

    offset: int
    shape: tuple[int, ...]
    scales: int | None = None


@dataclass(frozen=True)
class Quantization:
    """How floats become bytes: round(x / step) + zero, 0 to 255. step: above 0."""

    step: float
    zero: int


@dataclass(frozen=True)
class InputTensor:
    """An input of the network, float32 [channels, frames, joints, persons]."""

    channels: int
    frames: int
    joints: int
    persons: int


@dataclass(frozen=True)
class Activation:
    """What flows between layers."""

    frames: int
    persons: int
    joints: int
    channels: int


@dataclass(frozen=True)
class Part:
    """The channels of features number ``features``, from ``channel`` on."""

    features: int
    channel: int = 0


@dataclass(frozen=True)
class Input:
    """Joints of the sources, (source, joint, person) for each row, times scale plus shift."""

    out: Part
    rows: tuple[tuple[int, int, int], ...]
    scale: Constant
    shift: Constant


@dataclass(frozen=True)
class Conv:
    """A convolution over time in groups of channels; weight [G, K, I / G, O / G], bias [O].

    fractions: how far beyond ``offsets`` the taps lie, interpolated between two frames; or none.
    x_bytes: of x, if it is computed in integers; the weight is in integers then, with O scales, and
    what it samples between frames is folded as the network is loaded (``sampled.py``).
    """

    x: Part
    out: Part
    weight: Constant
    bias: Constant
    offsets: tuple[int, ...]
    stride: int = 1
    slope: float = 1.0
    add: Part | None = None
    zero_edges: bool = False
    fractions: tuple[float, ...] = ()
    x_bytes: Quantization | None = None


@dataclass(frozen=True)
class Refinement:
    """How adjacencies are refined for a clip: query, key [G, I / G, K * R], weight [K, R, C]."""

    query: Constant
    query_bias: Constant
    key: Constant
    key_bias: Constant
    weight: Constant
    shift: Constant
    window: int = 0
    period: int = 0


@dataclass(frozen=True)
class Aggregate:
    """A graph convolution: 1x1 in groups to K partitions, then adjacency [K, to, from].

    weight: [G, I / G, K * C / G], weight_bias: [K * C], both in the order of groups; bias: [C].
    x_bytes: as for :class:`Conv`, with K * C scales.
    """

    x: Part
    out: Part
    weight: Constant
    weight_bias: Constant
    adjacency: Constant
    bias: Constant
    slope: float = 1.0
    add: Part | None = None
    refinement: Refinement | None = None
    x_bytes: Quantization | None = None


@dataclass(frozen=True)
class Pool:
    """The greatest, or the mean, of frames ``first`` to ``last``; then scale and shift."""

    x: Part
    out: Part
    scale: Constant
    shift: Constant
    first: int = 0
    last: int = 0
    stride: int = 1
    mean: bool = False
    slope: float = 1.0
    add: Part | None = None


@dataclass(frozen=True)
class Difference:
    """Frame minus the frame before it."""

    x: Part
    out: Part
    channels: int


@dataclass(frozen=True)
class Excite:
    """Channels weighed by what their means say of them."""

    x: Part
    out: Part
    expand: Constant
    expand_bias: Constant
    reduce: Constant
    reduce_bias: Constant
    window: int = 0


@dataclass(frozen=True)
class Classify:
    """Logits of pooled features; of persons the mean, or the greatest."""

    x: Part
    weight: Constant
    bias: Constant
    greatest_person: bool = False
    window: int = 0


@dataclass(frozen=True)
class Normalize:
    """LayerNorm over channels, without weights."""

    x: Part
    out: Part
    channels: int


@dataclass(frozen=True)
class Gelu:
    """GELU with the exact erf."""

    x: Part
    out: Part
    channels: int


@dataclass(frozen=True)
class Attention:
    """Random-feature attention (FAVOR+) of every joint and frame; directions [D, J].

    window: of the running means of a causal network; None in one of clips.
    """

    query: Part
    key: Part
    value: Part
    out: Part
    directions: Constant
    heads: int
    window: int | None = None


@dataclass(frozen=True)
class PooledAttention:
    """Logits of attention along three axes: :func:`bharsdk.kernels.ops.pooled_attention`.

    window: of a causal network, of its tokens along time and its running means; None in one of
    clips.
    """

    x: Part
    context: Part
    query: Constant
    query_bias: Constant
    key: Constant
    key_bias: Constant
    directions: Constant
    value: Constant
    bias: Constant
    window: int | None = None


@dataclass(frozen=True)
class Layer:
    """Exactly one of these."""

    input: Input | None = None
    conv: Conv | None = None
    aggregate: Aggregate | None = None
    pool: Pool | None = None
    difference: Difference | None = None
    excite: Excite | None = None
    classify: Classify | None = None
    normalize: Normalize | None = field(default=None, metadata={KEY: "normalise"})
    gelu: Gelu | None = None
    attention: Attention | None = None
    pooled_attention: PooledAttention | None = None

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            raise InputError(f"got a layer that is {given}, expected exactly one kind")


class FusionRule(enum.Enum):
    """How the logits of several heads become one."""

    MEAN = "mean"
    NOISY_OR = "noisy-or"


@dataclass(frozen=True)
class NetworkSpec:
    """Everything about a network but its weights; layers in the order in which they run.

    causal: sources and features are of one frame, and it runs frame by frame.
    """

    sources: tuple[InputTensor, ...]
    classes: int
    fusion: FusionRule
    features: tuple[Activation, ...]
    layers: tuple[Layer, ...]
    causal: bool = False
    format_version: int = NETWORK_FORMAT_VERSION


def encode_network(spec: NetworkSpec) -> bytes:
    """``spec`` as UTF-8 JSON; what :func:`build_network` reads."""
    fields = to_json_dict(spec, defaults=False) | {"format_version": spec.format_version}
    return (json.dumps(fields, allow_nan=False, separators=(",", ":")) + "\n").encode()


def build_network(
    spec: bytes, weights: bytes, where: str, isa: str | None = None, *, integers: bytes = b""
) -> _ops.Network:
    """The network of ``network.json``, ``weights.bin`` and ``integers.bin``.

    where: names them in messages. isa: the instruction set to force. Raises IncompatibleError on
    another format version, BundleError when anything in them contradicts, UsageError and
    IncompatibleError as :func:`bharsdk.kernels.ops.active_isa` does.
    """
    fields = parse_object(spec, where, MAX_NETWORK_JSON_BYTES)
    check_version(fields, NETWORK_FORMAT_VERSION, where, "export the model again, or upgrade")
    try:
        read = from_json_dict(NetworkSpec, fields, where)
        check_network_cost(read.layers, Constant)
        return _build(read, _Constants(weights, integers), isa)
    # Whatever else a network that lies leads to, MemoryError too.
    except Exception as error:
        ours = isinstance(error, BharError) and not isinstance(error, InputError)
        if ours or isinstance(error, _ops.UnknownIsaError):
            raise
        raise BundleError(f"{where}: {reason_of(error)}; the bundle is damaged") from error


class _Constants:
    """The constants of a network, each checked to lie within what there is."""

    def __init__(self, weights: bytes, integers: bytes) -> None:
        if len(weights) % 4:
            raise InputError(f"got {len(weights)} bytes of weights, expected a multiple of 4")
        self._floats = np.frombuffer(weights, "<f4")
        self._integers = np.frombuffer(integers, np.int8)

    def floats(self, constant: Constant) -> FloatArray:
        """Its values, float32; those of integers times their scales."""
        if constant.scales is None:
            values = _slice(self._floats, constant.offset, constant.shape)
            return np.ascontiguousarray(values, np.float32)
        integers, scales = self.integers(constant)
        middle = (1,) * (len(constant.shape) - scales.ndim)
        return integers * scales.reshape(*scales.shape[:-1], *middle, scales.shape[-1])

    def integers(self, constant: Constant) -> tuple[IntegerArray, FloatArray]:
        """Its values in integers, and their scales."""
        if constant.scales is None:
            raise InputError(f"got {constant}, expected a constant in integers")
        values = _slice(self._integers, constant.offset, constant.shape)
        scales = _slice(self._floats, constant.scales, scales_shape(constant.shape))
        return np.ascontiguousarray(values), np.ascontiguousarray(scales, np.float32)


def scales_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the scales of a constant in integers."""
    return (shape[0], shape[-1]) if len(shape) > 2 else shape[-1:]


def _slice(
    values: npt.NDArray[np.generic], offset: int, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    size = math.prod(shape)
    if min(shape, default=0) < 1 or not 0 <= offset <= offset + size <= len(values):
        raise InputError(
            f"got a constant {list(shape)} at {offset}, expected it within {len(values)} values"
        )
    return values[offset : offset + size].reshape(shape)


def _build(spec: NetworkSpec, constants: _Constants, isa: str | None) -> _ops.Network:
    network = _ops.Network(
        [dataclasses.astuple(source) for source in spec.sources],
        spec.classes,
        spec.fusion is FusionRule.NOISY_OR,
        spec.causal,
        isa,
    )
    for features in spec.features:
        network.add_features(*dataclasses.astuple(features))
    for number, layer in enumerate(spec.layers):
        (name, value), *_ = ((n, v) for n, v in vars(layer).items() if v is not None)
        try:
            getattr(network, f"add_{name}")(**_arguments(value, constants))
        except (InputError, ValueError) as error:
            raise InputError(f"layer {number}, {name}: {error}") from error
    network.finish()
    return network


def _arguments(layer: object, constants: _Constants) -> dict[str, object]:
    """The fields of ``layer`` as the extension takes them: constants as arrays, parts as pairs."""
    arguments: dict[str, object] = {}
    for name, value in vars(layer).items():
        if isinstance(value, Constant):
            arguments[name] = constants.floats(value)
        elif isinstance(value, Part):
            arguments[name] = (value.features, value.channel)
        elif isinstance(value, Refinement):
            inner = _arguments(value, constants)
            arguments |= {
                "refined_window": inner.pop("window"),
                "refined_period": inner.pop("period"),
                "refined": inner,
            }
        elif name not in ("refinement", "x_bytes") and value is not None:
            arguments[name] = value
    if isinstance(layer, Conv | Aggregate) and layer.x_bytes is not None:
        values, scales = constants.integers(layer.weight)
        if isinstance(layer, Conv) and layer.fractions:
            folded = folded_taps(values, scales, layer.offsets, layer.fractions)
            values, scales = folded.values, folded.scales
            arguments |= {"offsets": folded.offsets, "fractions": ()}
        arguments["weight"] = values
        arguments["integers"] = scales.flatten(), layer.x_bytes.step, layer.x_bytes.zero
    return arguments
