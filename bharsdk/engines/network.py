"""The native network of a bundle: layers over features, and one array of float32 constants.

::

    native/network.json   NetworkSpec: what flows from layer to layer; data, no code
    native/weights.bin    float32, little-endian: the constants that the layers name

Features are [frames, persons, joints, channels]. A layer reads and writes parts of their channels;
shapes are checked layer by layer as the network is built, before anything is computed.
(cpp_ops/include/bhar_ops/network.h says what each layer computes.)
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk import _ops
from bharsdk.codec import check_version, from_json_dict, to_json_dict
from bharsdk.errors import BundleError, InputError
from bharsdk.manifest import parse_object

__all__ = [
    "NETWORK_FORMAT_VERSION",
    "Aggregate",
    "Classify",
    "Constant",
    "Conv",
    "Difference",
    "Excite",
    "Features",
    "FusionRule",
    "Input",
    "Layer",
    "NetworkSpec",
    "Part",
    "Pool",
    "Refinement",
    "Source",
    "build_network",
    "encode_network",
]

FloatArray = npt.NDArray[np.float32]

NETWORK_FORMAT_VERSION = 1


@dataclass(frozen=True)
class Constant:
    """A dense array of the weights: where it begins, in floats, and its shape."""

    offset: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """An input of the network, float32 [channels, frames, joints, persons]."""

    channels: int
    frames: int
    joints: int
    persons: int


@dataclass(frozen=True)
class Features:
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
class Layer:
    """Exactly one of these."""

    input: Input | None = None
    conv: Conv | None = None
    aggregate: Aggregate | None = None
    pool: Pool | None = None
    difference: Difference | None = None
    excite: Excite | None = None
    classify: Classify | None = None

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

    sources: tuple[Source, ...]
    classes: int
    fusion: FusionRule
    features: tuple[Features, ...]
    layers: tuple[Layer, ...]
    causal: bool = False
    format_version: int = NETWORK_FORMAT_VERSION


def encode_network(spec: NetworkSpec) -> bytes:
    """``spec`` as UTF-8 JSON; what :func:`build_network` reads."""
    return (json.dumps(to_json_dict(spec), allow_nan=False) + "\n").encode()


def build_network(spec: bytes, weights: bytes, where: str, isa: str | None = None) -> _ops.Network:
    """The network of ``network.json`` and ``weights.bin``; ``where`` names them in messages.

    isa: the instruction set to force. Raises IncompatibleError on another format version,
    BundleError when anything in them contradicts, UsageError and IncompatibleError as
    :func:`bharsdk.ops.active_isa` does.
    """
    fields = parse_object(spec, where)
    check_version(fields, NETWORK_FORMAT_VERSION, where, "export the model again, or upgrade")
    try:
        return _build(from_json_dict(NetworkSpec, fields, where), _Weights(weights), isa)
    except (InputError, ValueError, TypeError) as error:
        if isinstance(error, _ops.UnknownIsaError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise BundleError(f"{where}: {reason}; the bundle is damaged") from error


class _Weights:
    """The constants of a network, each checked to lie within what there is."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise InputError(f"got {len(data)} bytes of weights, expected a multiple of 4")
        self._values = np.frombuffer(data, "<f4")

    def __getitem__(self, constant: Constant) -> FloatArray:
        size = math.prod(constant.shape)
        if min(constant.shape, default=0) < 1 or not (
            0 <= constant.offset <= constant.offset + size <= len(self._values)
        ):
            raise InputError(f"got {constant}, expected it within {len(self._values)} weights")
        values = self._values[constant.offset : constant.offset + size]
        return np.ascontiguousarray(values.reshape(constant.shape), np.float32)


def _build(spec: NetworkSpec, weights: _Weights, isa: str | None) -> _ops.Network:
    network = _ops.Network(
        [dataclasses.astuple(source) for source in spec.sources],
        spec.classes,
        spec.fusion is FusionRule.NOISY_OR,
        spec.causal,
        isa,
    )
    for features in spec.features:
        network.add_features(*dataclasses.astuple(features))
    for layer in spec.layers:
        (name, value), *_ = ((n, v) for n, v in vars(layer).items() if v is not None)
        getattr(network, f"add_{name}")(**_arguments(value, weights))
    network.finish()
    return network


def _arguments(layer: object, weights: _Weights) -> dict[str, object]:
    """The fields of ``layer`` as the extension takes them: constants as arrays, parts as pairs."""
    arguments: dict[str, object] = {}
    for name, value in vars(layer).items():
        if isinstance(value, Constant):
            arguments[name] = weights[value]
        elif isinstance(value, Part):
            arguments[name] = (value.features, value.channel)
        elif isinstance(value, Refinement):
            inner = _arguments(value, weights)
            arguments |= {
                "refined_window": inner.pop("window"),
                "refined_period": inner.pop("period"),
                "refined": inner,
            }
        elif name != "refinement":
            arguments[name] = value
    return arguments
