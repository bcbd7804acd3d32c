"""Find body and hands with MediaPipe's models: one person or several, in a pipeline.

Models, tracking and smoothing are those of Holistic, without its face. For one person the landmarks
are the same to the bit. The pose of a picture is found while the hands of the last picture are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bharsdk.cameras.opencv import import_cv2
from bharsdk.errors import UsageError
from bharsdk.files.limits import MAX_PERSONS
from bharsdk.landmarkers.body_hands_graph import (
    DETECTIONS,
    IS_DETECTING,
    PICTURE_TO_SEARCH,
    SlotPackets,
    open_graph,
)
from bharsdk.landmarkers.mediapipe import check_image, points_of
from bharsdk.landmarkers.mediapipe_graph import framework, quiet_projection
from bharsdk.landmarkers.person_slots import Detected, Orders, Region, Slots
from bharsdk.landmarks.box import Box
from bharsdk.landmarks.landmarks import BODY_SHAPE, HANDS_SHAPE, Landmarks
from bharsdk.landmarks.tracking import own_hands
from bharsdk.process.closeable import Closing
from bharsdk.values.brief import brief, brief_config
from bharsdk.values.checks import check_fields
from bharsdk.values.image import Image

__all__ = ["BodyHandsConfig", "BodyHandsLandmarker", "open_one"]

MAX_DEPTH = 16
NOWHERE = Region(0.5, 0.5, 1.0, 1.0, 0.0)
GRAY = 128
HIPS, RIM, SHOULDERS = 0, 1, 2
"""Key points of MediaPipe's pose detector."""


@dataclass(frozen=True)
class BodyHandsConfig:
    """How people are found.

    Attributes:
        max_persons: how many people are followed, 1 to 8. Each costs a pose and two hands.
        depth: how many pictures may be under way, 1 to 16. Two keep both stages busy, pose and
            hands. Each more adds the time of a frame to the delay on a busy machine.
        min_detection_confidence, min_tracking_confidence: as MediaPipe names them, 0 to 1.
        detection_interval_ms: with several people, the time between two searches for another person
            while there is room; 0 searches every picture.

    Raises:
        UsageError: a value is out of range.
    """

    max_persons: int = 1
    depth: int = 2
    min_detection_confidence: float = 0.5
    min_tracking_confidence: float = 0.5
    detection_interval_ms: float = 500.0

    def __post_init__(self) -> None:
        check_fields(self, "landmarks")
        for name, low, high in (
            ("max_persons", 1, MAX_PERSONS),
            ("depth", 1, MAX_DEPTH),
            ("min_detection_confidence", 0, 1),
            ("min_tracking_confidence", 0, 1),
            ("detection_interval_ms", 0, 3_600_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"landmarks: got {name} {value}, expected {low} to {high}")

    def __repr__(self) -> str:
        return brief_config(self)


@dataclass(frozen=True)
class _Picture:
    """What is known of a picture under way."""

    number: int
    timestamp_ms: float
    aspect: float


class BodyHandsLandmarker(Closing):
    """Follow up to ``max_persons`` from picture to picture.

    It belongs to one source. One thread may send while another receives, and any thread may close
    it. With several people, a new person is followed ``depth`` pictures after their detection.
    Results do not depend on whether pictures are sent ahead.

    Attributes:
        config: how people are found.
        depth: how many pictures may be sent before the first is received.

    Raises:
        BackendMissingError: MediaPipe or a library that it needs is not installed.
    """

    def __init__(self, config: BodyHandsConfig | None = None) -> None:
        self.config = config or BodyHandsConfig()
        self.depth = self.config.depth
        self._cv2 = import_cv2()
        self._mediapipe = framework()
        self._make = self._mediapipe.packet_creator
        quiet_projection()
        self._graph = open_graph(
            self._make,
            self.config.max_persons,
            self.config.min_detection_confidence,
            self.config.min_tracking_confidence,
        )
        count = self.config.max_persons
        self._slot_packets = [SlotPackets(number) for number in range(count)]
        self._slots = (
            Slots(count, self.depth, self.config.detection_interval_ms) if count > 1 else None
        )
        self._orders: dict[int, Orders] = {}
        self._under_way: deque[_Picture] = deque()
        self._sent = 0

    def __repr__(self) -> str:
        return brief(self, config=self.config)

    def detect(self, image: Image, timestamp_ms: float) -> Sequence[Landmarks]:
        """Return everyone in ``image``: :meth:`send` and :meth:`receive` in one.

        Raises what these raise, and UsageError when pictures sent before were not received.
        """
        if self._graph.in_flight:
            raise UsageError(
                f"landmarks: got detect() with {self._graph.in_flight} pictures under way: receive"
                " them first"
            )
        self.send(image, timestamp_ms)
        return self.receive()

    def send(self, image: Image, timestamp_ms: float) -> None:
        """Start on ``image``, uint8 [height, width, 3] BGR, taken at ``timestamp_ms``.

        The image may be changed afterwards.

        Raises:
            InputError: it is another kind of array.
            UsageError: ``depth`` pictures are under way, or the landmarker is closed.
            SourceError: the graph has failed.
        """
        check_image(image)
        if self._graph.in_flight >= self.depth:
            raise UsageError(
                f"landmarks: got a picture with {self.depth} under way, expected at most"
                f" {self.depth}: receive one first"
            )
        picture = _Picture(self._sent, timestamp_ms, image.shape[1] / image.shape[0])
        rgb = self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB)
        packets = {"image": self._image_packet(rgb)}
        if self._slots is not None:
            # Those made from the picture ``depth`` earlier, which has been received by now.
            orders = self._orders.pop(picture.number, self._slots.first())
            packets[PICTURE_TO_SEARCH] = packets["image"]
            if orders.is_detecting and orders.hidden:
                packets[PICTURE_TO_SEARCH] = self._image_packet(_without(rgb, orders.hidden))
            packets |= self._order_packets(orders)
        self._graph.send(packets)
        self._under_way.append(picture)
        self._sent += 1

    def receive(self) -> Sequence[Landmarks]:
        """Wait for the oldest picture and return everyone in it; empty when there is nobody.

        Left and right are the person's own. NaN marks a hand that was not found.

        Raises:
            UsageError: nothing is under way, or the landmarker was closed meanwhile.
            SourceError: the graph has failed, and this picture is lost.
        """
        # Taken even if the graph fails: the next picture's people must not get this one's time.
        picture = self._under_way.popleft() if self._under_way else None
        packets = self._graph.receive()
        assert picture is not None
        found = [self._person(packets, names, picture) for names in self._slot_packets]
        if self._slots is None:
            return tuple(person for person in found if person is not None)
        detected = self._detected(packets.get(DETECTIONS), picture.aspect)
        people, orders = self._slots.after(picture.number, picture.timestamp_ms, found, detected)
        self._orders[picture.number + self.depth] = orders
        return own_hands(people)

    def close(self) -> None:
        """Stop the graph; pictures under way are lost. A second call does nothing."""
        self._graph.close()

    def _image_packet(self, rgb: Image) -> Any:
        """A packet with a copy of ``rgb``."""
        srgb = self._mediapipe.image_frame.ImageFormat.SRGB
        return self._make.create_image_frame(rgb, image_format=srgb)

    def _order_packets(self, orders: Orders) -> dict[str, Any]:
        packets = {IS_DETECTING: self._make.create_bool(orders.is_detecting)}
        for names in self._slot_packets:
            slot = names.number
            seed = orders.seeds.get(slot, NOWHERE)
            rectangle = self._mediapipe.rect_pb2.NormalizedRect(
                x_center=seed.x,
                y_center=seed.y,
                width=seed.width,
                height=seed.height,
                rotation=seed.rotation,
            )
            packets[names.seed] = self._make.create_proto(rectangle)
            packets[names.is_seeded] = self._make.create_bool(slot in orders.seeds)
            packets[names.is_kept] = self._make.create_bool(slot not in orders.dropped)
        return packets

    def _person(
        self, packets: Mapping[str, Any], names: SlotPackets, picture: _Picture
    ) -> Landmarks | None:
        if names.pose not in packets:
            return None
        read = self._mediapipe.packet_getter.get_proto
        pose, left, right = (
            read(packets[name]) if name in packets else None for name in names.outputs
        )
        hands = np.stack([points_of(hand, HANDS_SHAPE[1:]) for hand in (left, right)])
        return Landmarks(picture.timestamp_ms, points_of(pose, BODY_SHAPE), hands, picture.aspect)

    def _detected(self, packet: Any, aspect: float) -> list[Detected]:
        if packet is None:
            return []
        detections = self._mediapipe.packet_getter.get_proto_list(packet)
        detections.sort(key=lambda detection: -detection.score[0])
        points = [d.location_data.relative_keypoints for d in detections]
        return [
            Detected(
                (p[HIPS].x, p[HIPS].y),
                (p[RIM].x, p[RIM].y),
                (p[SHOULDERS].x, p[SHOULDERS].y),
                aspect,
            )
            for p in points
        ]


def open_one(max_persons: int) -> BodyHandsLandmarker:
    """Open the landmarker ``body-hands`` of the registry."""
    return BodyHandsLandmarker(BodyHandsConfig(max_persons=max_persons))


def _without(image: Image, boxes: Sequence[Box]) -> Image:
    """Paint the ``boxes`` of ``image`` gray, in place, and return it."""
    height, width = image.shape[:2]
    for box in boxes:
        left, right = (round(min(max(x, 0.0), 1.0) * width) for x in (box.left, box.right))
        top, bottom = (round(min(max(y, 0.0), 1.0) * height) for y in (box.top, box.bottom))
        image[top:bottom, left:right] = GRAY
    return image
