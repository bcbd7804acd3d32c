"""A MediaPipe graph of our own in which several pictures may be under way at once.

MediaPipe's solutions wait after every picture until the graph is idle. This one takes the next
picture while the last is still inside: calculators work on different pictures at the same time, and
what they give out comes back in the order sent.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bharsdk.cameras.opencv import import_camera_module
from bharsdk.errors import BackendMissingError, SourceError, UsageError
from bharsdk.landmarkers.memory import memory_returned
from bharsdk.process.closeable import close_aside
from bharsdk.process.silence import STDERR, quiet_outputs

__all__ = ["MediaPipeGraph", "NodeOption", "framework", "import_solutions", "quiet_projection"]

FRAME_US = 33_333
"""Between two pictures, microseconds, whatever their capture times: MediaPipe's solutions count
pictures like this, its smoothing reads it, and the public recordings were made with it."""
ERROR_CHECK_S = 0.1
"""A graph that fails calls nobody, so who waits for it looks this often."""

NodeOption = tuple[str, str, float]
"""End of a node's name in the expanded graph, field of its options, value."""

PROJECTION = """
input_stream: "landmarks"
input_stream: "rectangle"
node {
  calculator: "LandmarkProjectionCalculator"
  input_stream: "NORM_LANDMARKS:landmarks"
  input_stream: "NORM_RECT:rectangle"
  output_stream: "NORM_LANDMARKS:projected"
}
"""


def import_solutions() -> ModuleType:
    """``mediapipe.solutions``. Raises BackendMissingError where MediaPipe, or they, are missing."""
    solutions = getattr(import_camera_module("mediapipe"), "solutions", None)
    if solutions is None:
        raise BackendMissingError(
            "the installed mediapipe has no Holistic solution, expected 0.10.14 to 0.10.21:"
            " run  pip install 'bharsdk[camera]'"
        )
    return solutions  # type: ignore[no-any-return]


def framework() -> Any:
    """MediaPipe's own module of graphs, packets and message types, as its solutions import it.

    What protobuf knows of calculators' options depends on what was imported. Holistic is imported
    too, so that whatever its graph loses on the way through Python (see ``_expanded``), ours loses.
    Raises BackendMissingError as :func:`import_solutions`.
    """
    import_solutions()
    import_camera_module("mediapipe.python.solutions.holistic")
    return import_camera_module("mediapipe.python.solution_base")


class MediaPipeGraph:
    """A running graph. One thread may send while another receives; any may close.

    config: the graph as text, of registered calculators and subgraphs. outputs: names of the graph
    outputs to read. side_packets: what the graph is started with. options: of nodes inside
    subgraphs.

    Raises BackendMissingError without MediaPipe, SourceError when the graph cannot start.
    """

    def __init__(
        self,
        config: str,
        *,
        outputs: Sequence[str],
        side_packets: Mapping[str, Any] | None = None,
        options: Sequence[NodeOption] = (),
    ) -> None:
        mediapipe = framework()
        self._sent = 0
        self._received = 0
        with quiet_outputs(STDERR), _as_source_error():
            graph: Any = mediapipe.calculator_graph.CalculatorGraph(
                graph_config=_expanded(mediapipe, config, options)
            )
            self._running = _Running(graph, outputs)
            # Also when the graph is forgotten, or fails to start.
            self._finalize = weakref.finalize(self, self._running.stop)
            for name in outputs:
                graph.observe_output_stream(name, self._running.arrivals.put, True)
            graph.start_run(dict(side_packets or {}))
            # Interpreters talk to stderr as they open, whatever they are told.
            graph.wait_until_idle()

    @property
    def in_flight(self) -> int:
        """How many pictures were sent and not yet received."""
        return self._sent - self._received

    def send(self, packets: Mapping[str, Any]) -> None:
        """Give one picture's ``packets`` to the graph inputs, by name, and return at once.

        Raises UsageError when closed, SourceError when the graph has failed.
        """
        graph = self._open_graph()
        at = (self._sent + 1) * FRAME_US
        with _as_source_error():
            for name, packet in packets.items():
                graph.add_packet_to_input_stream(name, packet.at(at))
        self._sent += 1

    def receive(self) -> Mapping[str, Any]:
        """Packets of the earliest picture not yet received, by graph output; empty ones left out.

        Waits for them. Raises UsageError when nothing is under way or the graph is closed, also
        while waiting; SourceError when the graph has failed, which loses this picture.
        """
        graph = self._open_graph()
        if self.in_flight == 0:
            raise UsageError("landmarks: got receive() with no picture under way: send one first")
        at = (self._received + 1) * FRAME_US
        packets = self._running.arrivals.take(at, graph.has_error)
        self._received += 1
        if packets is None:
            raise _failed(self._open_graph().get_combined_error_message())
        return packets

    def close(self) -> None:
        """Stop the graph and free its memory; pictures under way are lost.

        Ends within a second, also when a calculator hangs. A second call does nothing.
        """
        if self._finalize.detach() is not None:
            close_aside(self._running.stop, "MediaPipe's graph")

    def _open_graph(self) -> Any:
        graph = self._running.graph
        if graph is None or not self._finalize.alive:
            raise UsageError("landmarks: got a picture after close(): open a new landmarker")
        return graph


class _Running:
    """The graph until it is stopped, and what came out of it. Nothing holds the graph afterwards.

    The graph holds ``arrivals`` as the observer of its outputs, and never this object: freed by
    reference counting alone.
    """

    def __init__(self, graph: Any, outputs: Sequence[str]) -> None:
        self.graph: Any = graph
        self.arrivals = _Arrivals(outputs)

    def stop(self) -> None:
        self.arrivals.close()
        graph, self.graph = self.graph, None
        if graph is None:
            return
        with memory_returned():
            # What failed inside was raised by receive(), or nobody asked for it.
            with contextlib.suppress(RuntimeError, ValueError):
                graph.close()
            del graph


class _Arrivals:
    """What came out of the graph so far. ``put`` is called by MediaPipe's threads."""

    def __init__(self, outputs: Sequence[str]) -> None:
        self._changed = threading.Condition()
        self._settled = dict.fromkeys(outputs, 0)
        self._packets: dict[int, dict[str, Any]] = {}
        self._closed = False

    def put(self, name: str, packet: Any) -> None:
        """Note a packet of a graph output. An empty one says: nothing until its time."""
        with self._changed:
            at = packet.timestamp.value
            if not packet.is_empty():
                self._packets.setdefault(at, {})[name] = packet
            self._settled[name] = at
            self._changed.notify_all()

    def take(self, at: int, has_failed: Callable[[], bool]) -> Mapping[str, Any] | None:
        """Wait until all outputs have passed ``at``. None when closed or failed before."""
        with self._changed:
            while min(self._settled.values()) < at:
                if self._closed or has_failed():
                    return None
                self._changed.wait(ERROR_CHECK_S)
            return self._packets.pop(at, {})

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@functools.cache
def quiet_projection() -> None:
    """Have MediaPipe warn now, in silence, of the hand graphs' square regions; it does so once."""
    mediapipe = framework()
    make = mediapipe.packet_creator.create_proto
    point = mediapipe.landmark_pb2.NormalizedLandmark(x=0.5, y=0.5)
    square = mediapipe.rect_pb2.NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0)
    graph = MediaPipeGraph(PROJECTION, outputs=["projected"])
    with quiet_outputs(STDERR):
        landmarks = mediapipe.landmark_pb2.NormalizedLandmarkList(landmark=[point])
        graph.send({"landmarks": make(landmarks), "rectangle": make(square)})
        graph.receive()
        graph.close()


def _expanded(mediapipe: Any, config: str, options: Sequence[NodeOption]) -> Any:
    """The graph with its subgraphs written out, and ``options`` set.

    It passes through Python on the way, as in the solutions. That loses options that Python's
    protobuf does not know, which changes landmarks: the heat map that refines a pose's joints is
    read with another kernel. Landmarks equal Holistic's, and those of recordings made with it, only
    this way.
    """
    # The package folder's parent, as in the solutions: models are named mediapipe/modules/...
    mediapipe.resource_util.set_resource_dir(str(Path(mediapipe.__file__).parents[2]))
    validated = mediapipe.validated_graph_config.ValidatedGraphConfig()
    validated.initialize(graph_config=config)
    expanded = mediapipe.calculator_pb2.CalculatorGraphConfig.FromString(validated.binary_config)
    for suffix, field, value in options:
        nodes = [node for node in expanded.node if node.name.endswith(suffix)]
        assert nodes, suffix
        for node in nodes:
            kind = mediapipe.CALCULATOR_TO_OPTIONS[node.calculator]
            setattr(node.options.Extensions[kind.ext], field, value)
    return expanded


@contextlib.contextmanager
def _as_source_error() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise _failed(str(error)) from error


def _failed(message: str) -> SourceError:
    reason = " ".join(message.split()) or "no reason given"
    return SourceError(f"landmarks: MediaPipe's graph failed ({reason}): open the source anew")
