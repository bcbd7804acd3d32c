"""A native network that is damaged, or lies, is refused before it computes anything."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops
from bharsdk.engines.network import (
    Aggregate,
    Classify,
    Constant,
    Conv,
    Features,
    FusionRule,
    Input,
    Layer,
    NetworkSpec,
    Part,
    Source,
    build_network,
    encode_network,
)
from bharsdk.errors import BharError, BundleError, IncompatibleError, UsageError

JOINTS, FRAMES, CHANNELS, WIDTH, CLASSES = 4, 6, 3, 16, 2


def _small() -> tuple[NetworkSpec, bytes]:
    """Input, 1x1 convolution, graph convolution, head: the least that is a graph network."""
    sizes = {
        "scale": (JOINTS, CHANNELS),
        "shift": (JOINTS, CHANNELS),
        "weight": (1, 1, CHANNELS, 4),
        "bias": (4,),
        "spread": (1, 4, 2 * WIDTH),
        "spread_bias": (2 * WIDTH,),
        "edges": (2, JOINTS, JOINTS),
        "after": (WIDTH,),
        "head": (WIDTH, CLASSES),
        "last": (CLASSES,),
    }
    constants, offset = {}, 0
    for name, shape in sizes.items():
        constants[name] = Constant(offset, shape)
        offset += int(np.prod(shape))
    c = constants
    rows = tuple((0, v, 0) for v in range(JOINTS))
    layers = (
        Layer(input=Input(Part(0), rows, c["scale"], c["shift"])),
        Layer(conv=Conv(Part(0), Part(1), c["weight"], c["bias"], (0,), slope=0.1)),
        Layer(
            aggregate=Aggregate(
                *(Part(1), Part(2), c["spread"], c["spread_bias"], c["edges"], c["after"]),
                slope=0.0,
            )
        ),
        Layer(classify=Classify(Part(2), c["head"], c["last"])),
    )
    features = (
        Features(FRAMES, 1, JOINTS, CHANNELS),
        Features(FRAMES, 1, JOINTS, 4),
        Features(FRAMES, 1, JOINTS, WIDTH),
    )
    sources = (Source(CHANNELS, FRAMES, JOINTS, 1),)
    spec = NetworkSpec(sources, CLASSES, FusionRule.MEAN, features, layers)
    return spec, np.random.default_rng(0).standard_normal(offset).astype("<f4").tobytes()


SPEC, WEIGHTS = _small()
TEXT = encode_network(SPEC)


def _changed(path: tuple[Any, ...], value: object) -> bytes:
    fields = json.loads(TEXT)
    at = fields
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(fields).encode()


def test_the_network_computes_its_definition() -> None:
    """Against numpy in float64, written out."""
    x = np.random.default_rng(1).standard_normal((2, CHANNELS, FRAMES, JOINTS, 1), np.float32)
    values = np.frombuffer(WEIGHTS, "<f4").astype(np.float64)

    def of(constant: Constant) -> np.ndarray[Any, np.dtype[np.float64]]:
        size = int(np.prod(constant.shape))
        return values[constant.offset : constant.offset + size].reshape(constant.shape)

    enter, conv, edges, head = (
        next(v for v in vars(layer).values() if v is not None) for layer in SPEC.layers
    )
    y = x[..., 0].transpose(0, 2, 3, 1) * of(enter.scale) + of(enter.shift)
    y = y @ of(conv.weight)[0, 0] + of(conv.bias)
    y = np.where(y < 0, 0.1 * y, y) @ of(edges.weight)[0] + of(edges.weight_bias)
    y = y.reshape(2, FRAMES, JOINTS, 2, WIDTH)
    y = np.einsum("ntvkc,kwv->ntwc", y, of(edges.adjacency)) + of(edges.bias)
    expected = np.maximum(y, 0).mean((1, 2)) @ of(head.weight) + of(head.bias)
    got = build_network(TEXT, WEIGHTS, "test").run([x])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("layers", 1, "conv", "x", "features"), 2, "that no layer wrote"),
        (("layers", 1, "conv", "x", "features"), 7, "expected 0 to 2"),
        (("layers", 1, "conv", "x", "features"), -1, "expected 0 to 2"),
        (("layers", 1, "conv", "x", "channel"), 1, "a part of them"),
        (("layers", 1, "conv", "weight", "offset"), 1 << 60, "expected it within"),
        (("layers", 1, "conv", "weight", "shape"), [1, 1, 3, 1 << 40], "expected it within"),
        (("layers", 1, "conv", "weight", "shape"), [1, 1, 3, 0], "expected it within"),
        (("layers", 1, "conv", "weight", "shape"), [3, 32], "4 dimensions"),
        (("layers", 1, "conv", "offsets"), [0, 1], "one for each of the taps"),
        (("layers", 1, "conv", "offsets"), [1 << 40], "expected -4096 to 4096"),
        (("layers", 1, "conv", "fractions"), [0.5, 0.5], "none, or one for each of 1 offsets"),
        (("layers", 1, "conv", "fractions"), [1.5], "expected 0 to 1"),
        (("layers", 1, "conv", "stride"), 2, "features to write"),
        (("layers", 1, "conv", "stride"), 0, "expected 1 to"),
        (("layers", 1, "conv", "slope"), 1.5, "expected 0 to 1"),
        (("layers", 2, "aggregate", "bias", "shape"), [15], "multiple of 16"),
        (
            ("layers", 2, "aggregate", "x", "features"),
            0,
            "4 channels from 0 on of .*, expected a part",
        ),
        (("layers", 2, "aggregate", "out", "features"), 1, "writes what it reads"),
        (("layers", 2, "aggregate", "adjacency", "shape"), [2, 4, 3], "expected .2, 4, 4."),
        (("layers", 0, "input", "rows", 0), [0, 9, 0], "expected 0 to 3"),
        (("layers", 0, "input", "rows", 0), [1, 0, 0], "expected 0 to 0"),
        (("layers", 0), {}, "exactly one kind"),
        (("layers",), [], "without a head"),
        (("features", 1, "frames"), 1 << 40, "expected 1 to 4096"),
        (("features", 1, "channels"), 3, "4 channels from 0 on"),
        (("sources", 0, "persons"), 0, "expected 1 to"),
        (("classes",), 3, "expected \\[16, 3\\]"),
        (("fusion",), "vote", "expected one of"),
    ],
)
def test_what_contradicts_is_refused_with_its_reason(
    path: tuple[Any, ...], value: object, reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        build_network(_changed(path, value), WEIGHTS, "test")


def test_a_network_that_would_take_all_memory_is_refused() -> None:
    """Before anything is allocated: a few bytes of JSON can ask for a terabyte."""
    features = [*json.loads(TEXT)["features"], dict.fromkeys(("frames", "channels"), 4096)]
    features[-1] |= {"persons": 16, "joints": 512}
    with pytest.raises(BundleError, match="floats of memory, expected at most"):
        build_network(_changed(("features",), features), WEIGHTS, "test")


def test_another_version_is_refused_as_such() -> None:
    with pytest.raises(IncompatibleError, match="got format version 2, expected 1"):
        build_network(_changed(("format_version",), 2), WEIGHTS, "test")


@pytest.mark.parametrize("weights", [b"", WEIGHTS[:-4], WEIGHTS[:-1]])
def test_weights_that_are_cut_off_are_refused(weights: bytes) -> None:
    with pytest.raises(BundleError):
        build_network(TEXT, weights, "test")


def test_an_instruction_set_that_does_not_exist_is_no_damage() -> None:
    with pytest.raises((UsageError, _ops.UnknownIsaError)):
        build_network(TEXT, WEIGHTS, "test", "mmx")


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in _leaves(v, (*path, k))]
    if isinstance(value, list) and value:
        return [leaf for i, v in enumerate(value) for leaf in _leaves(v, (*path, i))]
    return [path]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(_leaves(json.loads(TEXT))),
            st.one_of(
                st.integers(-3, 40),
                st.sampled_from([-(1 << 63), 1 << 31, 1 << 62, 1 << 64, 0.5, None, True, "x", []]),
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_is_changed_it_runs_or_is_refused(
    changes: list[tuple[tuple[Any, ...], object]],
) -> None:
    """No crash, no other exception, and what is accepted stays within its arrays."""
    fields = json.loads(TEXT)
    for path, value in changes:
        at = fields
        for key in path[:-1]:
            at = at[key] if isinstance(at, dict | list) else {}
        if isinstance(at, dict | list) and at:
            at[path[-1]] = value
    try:
        network = build_network(json.dumps(fields).encode(), WEIGHTS, "test")
    except BharError:
        return
    shapes = [(1, *shape) for shape in network.sources]
    logits = network.run([np.zeros(shape, np.float32) for shape in shapes])
    assert logits.shape == (1, network.classes)


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [np.zeros((1, CHANNELS, FRAMES, JOINTS), np.float32)],
        [np.zeros((1, CHANNELS, FRAMES, JOINTS, 1))],
        [np.zeros((1, CHANNELS, FRAMES + 1, JOINTS, 1), np.float32)],
        [np.zeros((), np.float32)],
    ],
)
def test_inputs_of_another_shape_are_refused(inputs: list[Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        build_network(TEXT, WEIGHTS, "test").run(inputs)


def test_a_network_has_no_layer_after_its_last_one() -> None:
    network = build_network(TEXT, WEIGHTS, "test")
    with pytest.raises(ValueError, match="finish"):
        network.add_difference((0, 0), (2, 0), 3)


def test_bits_of_weights_are_taken_as_they_are() -> None:
    """Little-endian on every machine."""
    constant = SPEC.layers[3].classify
    assert constant is not None
    offset = 4 * constant.bias.offset
    weights = WEIGHTS[:offset] + struct.pack("<2f", 1000.0, -1000.0)
    x = np.zeros((1, CHANNELS, FRAMES, JOINTS, 1), np.float32)
    logits = build_network(TEXT, weights, "test").run([x])[0]
    assert logits[0] > 500 and logits[1] < -500
