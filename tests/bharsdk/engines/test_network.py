"""A native network that is damaged, or lies, is refused before it computes anything."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops
from bharsdk.engines.network import (
    Activation,
    Aggregate,
    Attention,
    Classify,
    Constant,
    Conv,
    FusionRule,
    Gelu,
    Input,
    InputTensor,
    Layer,
    NetworkSpec,
    Normalize,
    Part,
    Pool,
    PooledAttention,
    Quantization,
    build_network,
    encode_network,
)
from bharsdk.errors import BharError, BundleError, IncompatibleError, UsageError

Exact = npt.NDArray[np.float64]

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
        Activation(FRAMES, 1, JOINTS, CHANNELS),
        Activation(FRAMES, 1, JOINTS, 4),
        Activation(FRAMES, 1, JOINTS, WIDTH),
    )
    sources = (InputTensor(CHANNELS, FRAMES, JOINTS, 1),)
    spec = NetworkSpec(sources, CLASSES, FusionRule.MEAN, features, layers)
    return spec, np.random.default_rng(0).standard_normal(offset).astype("<f4").tobytes()


SPEC, WEIGHTS = _small()
TEXT = encode_network(SPEC)

HEADS, HEAD, RANDOM = 2, 3, 7
SHOWN = HEADS * HEAD


def _in_integers() -> tuple[NetworkSpec, bytes, bytes]:
    """The same, its graph convolution computed in integers, and its adjacency kept in them."""
    floats = np.frombuffer(WEIGHTS, "<f4")
    ((at, layer),) = ((i, la) for i, la in enumerate(SPEC.layers) if la.aggregate is not None)
    edges = layer.aggregate
    assert edges is not None
    constants, scales, integers = [], floats, np.zeros(0, np.int8)
    for constant in (edges.weight, edges.adjacency):
        values = floats[constant.offset :][: int(np.prod(constant.shape))].reshape(constant.shape)
        scale = np.abs(values).max(1, keepdims=True) / 63
        constants.append(Constant(len(integers), constant.shape, len(scales)))
        integers = np.append(integers, np.rint(values / scale).astype(np.int8))
        scales = np.append(scales, scale.ravel().astype("<f4"))
    weight, adjacency = constants
    made = replace(edges, weight=weight, adjacency=adjacency, x_bytes=Quantization(0.05, 100))
    layers = (*SPEC.layers[:at], Layer(aggregate=made), *SPEC.layers[at + 1 :])
    return replace(SPEC, layers=layers), scales.astype("<f4").tobytes(), integers.tobytes()


SPEC_8, WEIGHTS_8, INTEGERS_8 = _in_integers()
TEXT_8 = encode_network(SPEC_8)


@pytest.mark.parametrize("isa", _ops.available_isas())
def test_integers_compute_what_their_floats_do(isa: str) -> None:
    """As exact as the bytes of what they meet: a step of 0.05."""
    x = np.random.default_rng(1).standard_normal((2, CHANNELS, FRAMES, JOINTS, 1), np.float32)
    network = build_network(TEXT_8, WEIGHTS_8, "test", isa, integers=INTEGERS_8)
    assert network.integers is not None and build_network(TEXT, WEIGHTS, "test").integers is None
    expected = build_network(TEXT, WEIGHTS, "test").run([x])
    np.testing.assert_allclose(network.run([x]), expected, atol=0.03 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("aggregate", "weight", "scales"), 1 << 40, "expected it within"),
        (("aggregate", "weight", "scales"), None, "expected a constant in integers"),
        (("aggregate", "weight", "offset"), 1 << 20, "expected it within"),
        (("aggregate", "x_bytes", "step"), 0, "a step of bytes of 0"),
        (("aggregate", "x_bytes", "zero"), 256, "expected 0 to 255"),
    ],
)
def test_integers_that_contradict_are_refused(
    path: tuple[str, ...], value: object, reason: str
) -> None:
    fields = json.loads(TEXT_8)
    layer, name, key = path
    fields["layers"][2][layer][name][key] = value
    with pytest.raises(BundleError, match=reason):
        build_network(json.dumps(fields).encode(), WEIGHTS_8, "test", integers=INTEGERS_8)


def test_integers_that_could_overflow_are_refused() -> None:
    with pytest.raises(BundleError, match="got a weight in integers of 127, expected -63 to 63"):
        build_network(TEXT_8, WEIGHTS_8, "test", integers=b"\x7f" * len(INTEGERS_8))
    with pytest.raises(BundleError, match="expected it within"):
        build_network(TEXT_8, WEIGHTS_8, "test", integers=INTEGERS_8[:-1])


def _looking() -> tuple[NetworkSpec, bytes]:
    """One body and two hands that look at each other: every layer of attention."""
    sizes = {
        "scale": (2 * JOINTS, SHOWN),
        "shift": (2 * JOINTS, SHOWN),
        "directions": (HEAD, RANDOM),
        "head": (SHOWN, CLASSES),
        "last": (CLASSES,),
        "query": (3, SHOWN, SHOWN),
        "query_bias": (3, SHOWN),
        "key": (3, SHOWN, SHOWN),
        "key_bias": (3, SHOWN),
        "axes": (3, HEAD, RANDOM),
        "value": (3, HEADS, SHOWN, CLASSES),
    }
    constants, offset = {}, 0
    for name, shape in sizes.items():
        constants[name] = Constant(offset, shape)
        offset += int(np.prod(shape))
    c = constants
    of_body = Constant(c["scale"].offset, (JOINTS, SHOWN))
    body = tuple((0, v, 0) for v in range(JOINTS))
    hands = tuple((1, v, m) for m in range(2) for v in range(JOINTS))
    pooled = (c[name] for name in ("query", "query_bias", "key", "key_bias", "axes", "value"))
    layers = (
        Layer(input=Input(Part(0), body, of_body, of_body)),
        Layer(input=Input(Part(1), hands, c["scale"], c["shift"])),
        Layer(normalize=Normalize(Part(0), Part(2), SHOWN)),
        Layer(normalize=Normalize(Part(1), Part(3), SHOWN)),
        Layer(attention=Attention(Part(2), Part(3), Part(1), Part(4), c["directions"], HEADS)),
        Layer(gelu=Gelu(Part(4), Part(5), SHOWN)),
        Layer(classify=Classify(Part(5), c["head"], c["last"])),
        Layer(pooled_attention=PooledAttention(Part(1), Part(0), *pooled, c["last"])),
    )
    of_one, of_two = (Activation(FRAMES, m, JOINTS, SHOWN) for m in (1, 2))
    features = (of_one, of_two, of_one, of_two, of_one, of_one)
    sources = (InputTensor(SHOWN, FRAMES, JOINTS, 1), InputTensor(SHOWN, FRAMES, JOINTS, 2))
    spec = NetworkSpec(sources, CLASSES, FusionRule.MEAN, features, layers)
    return spec, np.random.default_rng(2).standard_normal(offset).astype("<f4").tobytes()


LOOKING, LOOKING_WEIGHTS = _looking()
LOOKING_TEXT = encode_network(LOOKING)


def _changed(path: tuple[Any, ...], value: object, text: bytes = TEXT) -> bytes:
    fields = json.loads(text)
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


def _normalized(x: Exact) -> Exact:
    y: Exact = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return y


def _attention(query: Exact, key: Exact, value: Exact, directions: Exact) -> Exact:
    """One head: query [Q, D], key and value [K, D]; every weight written out."""

    def features(x: Exact, axes: int | None) -> Exact:
        exponent = x @ directions
        largest = exponent.max(axes, keepdims=True)
        raised: Exact = np.exp(exponent - (x**2).sum(1, keepdims=True) / 2 - largest) + 1e-6
        return raised

    weights = features(query, 1) @ features(key, None).T
    mixed: Exact = weights @ value / weights.sum(1, keepdims=True)
    return mixed


def test_attention_computes_its_definition() -> None:
    """One body sees both hands; then its mean of GELUs, and the hands' view of it along axes."""
    random = np.random.default_rng(3)
    sources = [
        random.standard_normal((1, SHOWN, FRAMES, JOINTS, m)).astype(np.float32) for m in (1, 2)
    ]
    values = np.frombuffer(LOOKING_WEIGHTS, "<f4").astype(np.float64)

    def of(constant: Constant) -> Exact:
        size = int(np.prod(constant.shape))
        return values[constant.offset : constant.offset + size].reshape(constant.shape)

    enter_body, enter_hands, _, _, attention, _, classify, pooled = (
        next(v for v in vars(layer).values() if v is not None) for layer in LOOKING.layers
    )
    # [T, M, V, C].
    x, y = (
        source[0].transpose(1, 3, 2, 0) * of(enter.scale).reshape(-1, JOINTS, SHOWN)
        + of(enter.shift).reshape(-1, JOINTS, SHOWN)
        for source, enter in zip(sources, (enter_body, enter_hands), strict=True)
    )
    query, key, value = (rows.reshape(-1, SHOWN) for rows in (_normalized(x), _normalized(y), y))
    parts = [slice(h * HEAD, (h + 1) * HEAD) for h in range(HEADS)]
    mixed = np.concatenate(
        [
            _attention(query[:, part], key[:, part], value[:, part], of(attention.directions))
            for part in parts
        ],
        1,
    )
    gelu = mixed * (1 + np.vectorize(math.erf)(mixed / math.sqrt(2))) / 2
    of_all = gelu.mean(0) @ of(classify.weight) + of(classify.bias)

    of_axes = of(pooled.bias)
    for a, axes in enumerate(((1, 2), (0, 1), (0, 2))):
        tokens, context = _normalized(y.mean(axes)), _normalized(x.mean(axes))
        query = tokens @ of(pooled.query)[a] + of(pooled.query_bias)[a]
        key = context @ of(pooled.key)[a] + of(pooled.key_bias)[a]
        for h, part in enumerate(parts):
            found = _attention(query[:, part], key[:, part], context, of(pooled.directions)[a])
            of_axes = of_axes + found.mean(0) @ of(pooled.value)[a, h]
    got = build_network(LOOKING_TEXT, LOOKING_WEIGHTS, "test").run(sources)[0]
    np.testing.assert_allclose(got, (of_all + of_axes) / 2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("layers", 2, "normalise", "channels"), 0, "expected 1 to"),
        (("layers", 2, "normalise", "channels"), 7, "a part of them"),
        (("layers", 2, "normalise", "out", "features"), 0, "writes what it reads"),
        (("layers", 2, "normalise", "out", "features"), 3, "features to write"),
        (("layers", 5, "gelu", "channels"), 1 << 40, "expected 1 to"),
        (("layers", 5, "gelu", "x", "features"), 5, "writes what it reads"),
        (("layers", 4, "attention", "heads"), 3, "9 channels from 0 on"),
        (("layers", 4, "attention", "heads"), 0, "expected 1 to"),
        (("layers", 4, "attention", "heads"), 1 << 62, "expected 1 to"),
        (("layers", 4, "attention", "directions", "shape"), [21], "2 dimensions"),
        (("layers", 4, "attention", "value", "features"), 0, "features to write"),
        (("layers", 4, "attention", "key", "features"), 5, "that no layer wrote"),
        (("layers", 4, "attention", "out", "features"), 3, "writes what it reads"),
        (("layers", 7, "pooled_attention", "query", "shape"), [3, 5, 6], "expected key|H, 5, O"),
        (("layers", 7, "pooled_attention", "query", "shape"), [2, 6, 6], "expected .3, 6, H . D."),
        (("layers", 7, "pooled_attention", "key", "shape"), [3, 6, 5], "expected .3, 6, 6."),
        (("layers", 7, "pooled_attention", "key_bias", "shape"), [18], "expected .3, 6."),
        (("layers", 7, "pooled_attention", "directions", "shape"), [3, 4, 5], "heads H of value"),
        (("layers", 7, "pooled_attention", "value", "shape"), [3, 3, 6, 1], "heads H of value"),
        (("layers", 7, "pooled_attention", "bias", "shape"), [1], "expected .2."),
        (("layers", 7, "pooled_attention", "context", "features"), 9, "expected 0 to 5"),
        (("causal",), True, "expected 1 to 1"),
    ],
)
def test_attention_that_contradicts_is_refused_with_its_reason(
    path: tuple[Any, ...], value: object, reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        build_network(_changed(path, value, LOOKING_TEXT), LOOKING_WEIGHTS, "test")


@pytest.mark.parametrize("kind", ["attention", "pooled_attention"])
def test_attention_in_a_causal_network_has_a_window_and_in_one_of_clips_none(kind: str) -> None:
    fields = json.loads(LOOKING_TEXT) | {"causal": True}
    for of in (*fields["sources"], *fields["features"]):
        of["frames"] = 1
    wanted = {kind, "input", "normalize"}
    fields["layers"] = [layer for layer in fields["layers"] if wanted & layer.keys()]
    with pytest.raises(BundleError, match="got window 0, expected 1 to"):
        build_network(json.dumps(fields).encode(), LOOKING_WEIGHTS, "test")
    of_clips = json.loads(LOOKING_TEXT)
    for layer in of_clips["layers"]:
        if kind in layer:
            layer[kind]["window"] = 8
    with pytest.raises(BundleError, match="window"):
        build_network(json.dumps(of_clips).encode(), LOOKING_WEIGHTS, "test")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("layers", 1, "conv", "x", "features"), 2, "that no layer wrote"),
        (("layers", 1, "conv", "x", "features"), 7, "expected 0 to 2"),
        (("layers", 1, "conv", "x", "features"), -1, "expected 0 to 2"),
        (("layers", 1, "conv", "x", "channel"), 1, "a part of them"),
        (("layers", 1, "conv", "weight", "offset"), 1 << 60, "expected it within"),
        (("layers", 1, "conv", "weight", "shape"), [1, 1, 3, 1 << 40], "expected at most 512 MB"),
        (("layers", 1, "conv", "weight", "shape"), [1, 1, 3, 1 << 20], "expected it within"),
        (("layers", 1, "conv", "weight", "shape"), [1, 1, 3, 0], "expected sizes above 0"),
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
    with pytest.raises(IncompatibleError, match="got format version 1, expected 2"):
        build_network(_changed(("format_version",), 1), WEIGHTS, "test")


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


VALUES = st.one_of(
    st.integers(-3, 40),
    st.sampled_from([-(1 << 63), 1 << 31, 1 << 62, 1 << 64, 0.5, None, True, "x", []]),
)


def _changes(text: bytes) -> st.SearchStrategy[list[tuple[tuple[Any, ...], object]]]:
    paths = st.sampled_from(_leaves(json.loads(text)))
    return st.lists(st.tuples(paths, VALUES), min_size=1, max_size=3)


@settings(max_examples=400, deadline=None)
@given(_changes(TEXT))
def test_whatever_is_changed_it_runs_or_is_refused(
    changes: list[tuple[tuple[Any, ...], object]],
) -> None:
    """No crash, no other exception, and what is accepted stays within its arrays."""
    _run_changed(TEXT, WEIGHTS, b"", changes)


@settings(max_examples=200, deadline=None)
@given(_changes(TEXT_8))
def test_whatever_is_changed_in_integers_it_runs_or_is_refused(
    changes: list[tuple[tuple[Any, ...], object]],
) -> None:
    """The same for a quantized network."""
    _run_changed(TEXT_8, WEIGHTS_8, INTEGERS_8, changes)


@settings(max_examples=400, deadline=None)
@given(_changes(LOOKING_TEXT))
def test_whatever_is_changed_in_attention_it_runs_or_is_refused(
    changes: list[tuple[tuple[Any, ...], object]],
) -> None:
    """As above, with the layers of streams that look at each other."""
    _run_changed(LOOKING_TEXT, LOOKING_WEIGHTS, b"", changes)


def _run_changed(
    text: bytes, weights: bytes, integers: bytes, changes: list[tuple[tuple[Any, ...], object]]
) -> None:
    fields = json.loads(text)
    for path, value in changes:
        at = fields
        for key in path[:-1]:
            at = at[key] if isinstance(at, dict | list) else {}
        if isinstance(at, dict | list) and at:
            at[path[-1]] = value
    try:
        network = build_network(json.dumps(fields).encode(), weights, "test", integers=integers)
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


@pytest.mark.parametrize("isa", _ops.available_isas())
def test_the_embedding_is_what_the_head_classifies(isa: str) -> None:
    """Its logits are those of a run, and follow from the embedding by the head's weights alone."""
    x = np.random.default_rng(1).standard_normal((3, CHANNELS, FRAMES, JOINTS, 1), np.float32)
    network = build_network(TEXT, WEIGHTS, "test", isa)
    logits, embedding = network.embed([x])
    assert embedding.shape == (3, network.embedding_size) == (3, WIDTH)
    np.testing.assert_array_equal(logits, network.run([x]))
    head = SPEC.layers[-1].classify
    assert head is not None
    floats = np.frombuffer(WEIGHTS, "<f4")
    weight = floats[head.weight.offset :][: WIDTH * CLASSES].reshape(WIDTH, CLASSES)
    bias = floats[head.bias.offset :][:CLASSES]
    np.testing.assert_allclose(embedding @ weight + bias, logits, rtol=1e-5, atol=1e-4)


def test_embeddings_of_two_heads_lie_side_by_side() -> None:
    head = SPEC.layers[-1].classify
    assert head is not None
    narrow = Constant(head.weight.offset, (WIDTH // 2, CLASSES))
    other = Layer(classify=replace(head, x=Part(2, WIDTH // 2), weight=narrow))
    text = encode_network(replace(SPEC, layers=(*SPEC.layers, other)))
    x = np.random.default_rng(1).standard_normal((2, CHANNELS, FRAMES, JOINTS, 1), np.float32)
    _, embedding = build_network(text, WEIGHTS, "test").embed([x])
    np.testing.assert_array_equal(embedding[:, WIDTH:], embedding[:, WIDTH // 2 : WIDTH])


ZEROS = np.zeros(1 << 14, "<f4").tobytes()


def _zeros(*shape: int) -> Constant:
    return Constant(0, shape)


def _at_rates(*layers: Layer, causal: bool = True, joints: int = JOINTS) -> bytes:
    """Features 0 and 1 at every frame, 2 at every other one; ``layers`` write 3, which has a head.

    Of clips there are as many frames in all of them as say so.
    """
    frames, fewer = (1, 1) if causal else (FRAMES, FRAMES // 2)
    rows = tuple((0, v, 0) for v in range(joints))
    copied = (_zeros(1, 1, WIDTH, WIDTH), _zeros(WIDTH), (0,))
    first = (
        Layer(input=Input(Part(0), rows, _zeros(joints, WIDTH), _zeros(joints, WIDTH))),
        Layer(conv=Conv(Part(0), Part(1), *copied)),
        Layer(conv=Conv(Part(0), Part(2), *copied, stride=2)),
    )
    head = Layer(classify=Classify(Part(3), _zeros(WIDTH, 2), _zeros(2), window=int(causal)))
    of_all = [Activation(n, 1, joints, WIDTH) for n in (frames, frames, fewer, fewer)]
    return encode_network(
        NetworkSpec(
            (InputTensor(WIDTH, frames, joints, 1),),
            2,
            FusionRule.MEAN,
            tuple(of_all),
            (*first, *layers, head),
            causal,
        )
    )


def _conv(add: int, stride: int = 1, x: int = 2) -> Layer:
    weight = (_zeros(1, 1, WIDTH, WIDTH), _zeros(WIDTH), (0,))
    return Layer(conv=Conv(Part(x), Part(3), *weight, stride=stride, add=Part(add)))


def _aggregate(add: int) -> Layer:
    constants = (_zeros(1, WIDTH, WIDTH), _zeros(WIDTH), _zeros(1, JOINTS, JOINTS), _zeros(WIDTH))
    return Layer(aggregate=Aggregate(Part(2), Part(3), *constants, add=Part(add)))


def _pool(add: int) -> Layer:
    return Layer(pool=Pool(Part(2), Part(3), _zeros(WIDTH), _zeros(WIDTH), add=Part(add)))


def _attention_to(key: int, value: int) -> Layer:
    parts = (Part(2), Part(key), Part(value), Part(3), _zeros(WIDTH, 4))
    return Layer(attention=Attention(*parts, heads=1, window=8))


def _pooled_attention_to(context: int) -> Layer:
    of_axes = (_zeros(3, WIDTH, WIDTH), _zeros(3, WIDTH))
    return Layer(
        pooled_attention=PooledAttention(
            Part(2),
            Part(context),
            *of_axes,
            *of_axes,
            _zeros(3, WIDTH, 4),
            _zeros(3, 1, WIDTH, 2),
            _zeros(2),
            window=8,
        )
    )


COPY = _conv(add=2)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([_conv(add=1)], "layer 3, conv: got what is added, of features at every 1. frame"),
        ([_conv(add=2, stride=2, x=1), _conv(add=1)], "layer 4, conv: got what is added"),
        ([_conv(add=1, stride=2, x=1)], "every 1. frame, expected at every 2. as the layer"),
        ([_aggregate(add=1)], "aggregate: got what is added, of features at every 1. frame"),
        ([_pool(add=1)], "pool: got what is added, of features at every 1. frame"),
        ([_attention_to(1, 2)], "attention: got the key, of features at every 1. frame"),
        ([_attention_to(2, 1)], "attention: got the value, of features at every 1. frame"),
        ([COPY, _pooled_attention_to(1)], "pooled_attention: got the context, of features"),
        ([COPY, _conv(add=1, x=1)], "parts of features at every|what is added"),
    ],
)
def test_whatever_a_layer_of_a_stream_reads_comes_at_its_rate(
    layers: list[Layer], reason: str
) -> None:
    """A frame of another rate would be an old one, or none: streams would differ from clips."""
    with pytest.raises(BundleError, match=reason):
        build_network(_at_rates(*layers), ZEROS, "test")


@pytest.mark.parametrize(
    "layers",
    [
        [_conv(add=2)],
        [_conv(add=2, stride=2, x=1)],
        [_aggregate(add=2)],
        [_pool(add=2)],
        [_attention_to(2, 2)],
        [COPY, _pooled_attention_to(2)],
    ],
)
def test_what_comes_at_the_same_rate_runs(layers: list[Layer]) -> None:
    network = build_network(_at_rates(*layers), ZEROS, "test")
    x = np.zeros((1, WIDTH, FRAMES, JOINTS, 1), np.float32)
    assert network.run([x]).shape == (1, 2)


def test_constants_that_many_layers_share_are_counted_as_often_as_they_are_expanded() -> None:
    """A few kilobytes of JSON cannot ask for gigabytes."""
    wide = Constant(0, (1, 1, 1024, 1024))
    layer = Layer(conv=Conv(Part(2), Part(3), wide, _zeros(1024), (0,)))
    one, many = (_at_rates(*[layer] * n, causal=False) for n in (1, 200))
    weights = np.zeros(1 << 20, "<f4").tobytes()
    with pytest.raises(BundleError, match=r"constants that take 3\d\d\d MB .* at most 512 MB"):
        build_network(many, weights, "test")
    with pytest.raises(BundleError, match="a part of them"):  # the next thing that is wrong
        build_network(one, weights, "test")


def test_taps_far_apart_are_refused_before_they_are_folded() -> None:
    """Two taps between frames 60 frames apart would become a kernel of 62 frames."""
    wide = Constant(0, (1, 2, 1024, 256), scales=0)
    conv = Conv(
        *(Part(0), Part(3), wide, _zeros(256), (0, 60)),
        fractions=(0.5, 0.5),
        x_bytes=Quantization(0.1, 0),
    )
    text = _at_rates(Layer(conv=conv), causal=False)
    with pytest.raises(BundleError, match="MB as they are expanded"):
        build_network(text, ZEROS, "test", integers=bytes(1 << 19))


def test_a_network_that_would_run_for_minutes_is_refused() -> None:
    """From its multiply-adds, and the values that layers without any touch."""
    features = {"frames": 4096, "persons": 1, "joints": 64}
    layer = {"normalise": {"x": {"features": 0}, "out": {"features": 1}, "channels": 64}}
    of_input = {
        "rows": [[0, v, 0] for v in range(64)],
        "out": {"features": 0},
        **{name: {"offset": 0, "shape": [64, 64]} for name in ("scale", "shift")},
    }
    head = {"x": {"features": 1}, "weight": {"offset": 0, "shape": [64, 2]}}
    fields = {
        "sources": [{"channels": 64, "frames": 4096, "joints": 64, "persons": 1}],
        "classes": 2,
        "fusion": "mean",
        "features": [features | {"channels": 64}] * 2,
        "layers": [
            {"input": of_input},
            *[layer] * 100,
            {"classify": head | {"bias": {"offset": 0, "shape": [2]}}},
        ],
        "format_version": 2,
    }
    with pytest.raises(BundleError, match="e9 operations, expected at most 20"):
        build_network(json.dumps(fields).encode(), ZEROS, "test")
