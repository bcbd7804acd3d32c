from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class UnknownIsaError(ValueError): ...
class UnavailableIsaError(RuntimeError): ...

def active_isa() -> str: ...
def available_isas() -> list[str]: ...
def graph_aggregate(
    x: npt.NDArray[np.float32],
    a: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def pairwise_tanh(
    to: npt.NDArray[np.float32],
    from_: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def pooled_attention(
    x: npt.NDArray[np.float32],
    context: npt.NDArray[np.float32],
    query: npt.NDArray[np.float32],
    query_bias: npt.NDArray[np.float32],
    key: npt.NDArray[np.float32],
    key_bias: npt.NDArray[np.float32],
    directions: npt.NDArray[np.float32],
    value: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def refined_aggregate(
    value: npt.NDArray[np.float32],
    relation: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
    a: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def temporal_conv(
    x: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    offsets: Sequence[int],
    stride: int = 1,
    slope: float = 1.0,
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def temporal_conv_step(
    ring: npt.NDArray[np.float32],
    newest: int,
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    offsets: Sequence[int],
    slope: float = 1.0,
    out: npt.NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def integer_graph_aggregate(
    x: npt.NDArray[np.uint8],
    a: npt.NDArray[np.int8],
    scale: npt.NDArray[np.float32],
    step: float,
    zero: int,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def integer_temporal_conv(
    x: npt.NDArray[np.uint8],
    weight: npt.NDArray[np.int8],
    scale: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    offsets: Sequence[int],
    step: float,
    zero: int,
    stride: int = 1,
    slope: float = 1.0,
    isa: str | None = None,
) -> npt.NDArray[np.float32]: ...
def quantize(
    x: npt.NDArray[np.float32], step: float, zero: int, isa: str | None = None
) -> npt.NDArray[np.uint8]: ...

Part = tuple[int, int]
Array = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Weight = Array | npt.NDArray[np.int8]
Integers = tuple[Array, float, int]

class NetworkState:
    def __init__(self) -> None: ...
    def reset(self) -> None: ...
    @property
    def frames(self) -> int: ...

class Network:
    def __init__(
        self,
        sources: Sequence[tuple[int, int, int, int]],
        classes: int,
        noisy_or: bool = False,
        causal: bool = False,
        isa: str | None = None,
    ) -> None: ...
    def add_features(self, frames: int, persons: int, joints: int, channels: int) -> int: ...
    def add_input(
        self, out: Part, rows: Sequence[tuple[int, int, int]], scale: Array, shift: Array
    ) -> None: ...
    def add_conv(
        self,
        x: Part,
        out: Part,
        weight: Weight,
        bias: Array,
        offsets: Sequence[int],
        stride: int = 1,
        slope: float = 1.0,
        add: Part | None = None,
        zero_edges: bool = False,
        fractions: Sequence[float] = ...,
        integers: Integers | None = None,
    ) -> None: ...
    def add_aggregate(
        self,
        x: Part,
        out: Part,
        weight: Weight,
        weight_bias: Array,
        adjacency: Array,
        bias: Array,
        slope: float = 1.0,
        add: Part | None = None,
        refined: dict[str, Array] | None = None,
        refined_window: int = 0,
        refined_period: int = 0,
        integers: Integers | None = None,
    ) -> None: ...
    def add_pool(
        self,
        x: Part,
        out: Part,
        scale: Array,
        shift: Array,
        first: int = 0,
        last: int = 0,
        stride: int = 1,
        mean: bool = False,
        slope: float = 1.0,
        add: Part | None = None,
    ) -> None: ...
    def add_difference(self, x: Part, out: Part, channels: int) -> None: ...
    def add_excite(
        self,
        x: Part,
        out: Part,
        expand: Array,
        expand_bias: Array,
        reduce: Array,
        reduce_bias: Array,
        window: int = 0,
    ) -> None: ...
    def add_classify(
        self, x: Part, weight: Array, bias: Array, greatest_person: bool = False, window: int = 0
    ) -> None: ...
    def add_normalize(self, x: Part, out: Part, channels: int) -> None: ...
    def add_gelu(self, x: Part, out: Part, channels: int) -> None: ...
    def add_attention(
        self,
        query: Part,
        key: Part,
        value: Part,
        out: Part,
        directions: Array,
        heads: int,
        window: int = 0,
    ) -> None: ...
    def add_pooled_attention(
        self,
        x: Part,
        context: Part,
        query: Array,
        query_bias: Array,
        key: Array,
        key_bias: Array,
        directions: Array,
        value: Array,
        bias: Array,
        window: int = 0,
    ) -> None: ...
    def finish(self) -> None: ...
    def run(self, inputs: Sequence[Array]) -> Array: ...
    def embed(self, inputs: Sequence[Array]) -> tuple[Array, Array]: ...
    def observe(self, inputs: Sequence[Array]) -> Array: ...
    def count(self, inputs: Sequence[Array], limits: Sequence[float], bins: int) -> Counts: ...
    def profile(self, rounds: int) -> list[tuple[str, float]]: ...
    def step(self, inputs: Sequence[Array], state: NetworkState) -> Array: ...
    @property
    def causal(self) -> bool: ...
    @property
    def receptive_field(self) -> int: ...
    @property
    def state_bytes(self) -> int: ...
    @property
    def sources(self) -> list[list[int]]: ...
    @property
    def classes(self) -> int: ...
    @property
    def embedding_size(self) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def integers(self) -> str | None: ...
    @property
    def multiply_adds(self) -> float: ...
    @property
    def work(self) -> float: ...
    @property
    def workspace_bytes(self) -> int: ...
