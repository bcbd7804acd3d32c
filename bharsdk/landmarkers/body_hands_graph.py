"""The MediaPipe graphs of BodyHandsLandmarker: Holistic without the face, for one or more people.

One person: the subgraphs of Holistic as they are, which detect and then follow somebody. Several:
for each a slot, a pose that follows its own region and two hands cropped from it; one detection for
all, whose finds are handed to free slots from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bharsdk.landmarkers.mediapipe import MODEL_COMPLEXITY
from bharsdk.landmarkers.mediapipe_graph import MediaPipeGraph, NodeOption

__all__ = ["DETECTIONS", "IS_DETECTING", "PICTURE_TO_SEARCH", "SlotPackets", "open_graph"]

PICTURE_TO_SEARCH = "picture_to_search"
"""Graph input for several people: the picture that the detector searches if IS_DETECTING."""
IS_DETECTING = "is_detecting"
"""Graph input for several people: a bool, whether the detector runs."""
DETECTIONS = "detections"
"""Graph output for several people: MediaPipe detections, the most certain first."""


@dataclass(frozen=True)
class SlotPackets:
    """Names of the graph inputs and outputs of one slot: whom to follow, and what it finds."""

    number: int

    @property
    def outputs(self) -> tuple[str, str, str]:
        """Pose, left hand, right hand: normalized landmark lists."""
        return self.pose, f"left_hand_{self.number}", f"right_hand_{self.number}"

    @property
    def pose(self) -> str:
        """Output, a normalized landmark list."""
        return f"pose_{self.number}"

    @property
    def seed(self) -> str:
        """Input, a normalized rectangle: where to start if ``is_seeded``."""
        return f"seed_{self.number}"

    @property
    def is_seeded(self) -> str:
        """Input, a bool: start at ``seed`` now, whomever the slot followed before."""
        return f"is_seeded_{self.number}"

    @property
    def is_kept(self) -> str:
        """Input, a bool: go on following."""
        return f"is_kept_{self.number}"


ONE_PERSON = """
input_stream: "image"
input_side_packet: "model_complexity"
input_side_packet: "smooth_landmarks"
input_side_packet: "enable_segmentation"
input_side_packet: "smooth_segmentation"
input_side_packet: "use_prev_landmarks"
node {
  calculator: "PoseLandmarkCpu"
  input_stream: "IMAGE:image"
  input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  input_side_packet: "SMOOTH_LANDMARKS:smooth_landmarks"
  input_side_packet: "ENABLE_SEGMENTATION:enable_segmentation"
  input_side_packet: "SMOOTH_SEGMENTATION:smooth_segmentation"
  input_side_packet: "USE_PREV_LANDMARKS:use_prev_landmarks"
  output_stream: "LANDMARKS:pose_0"
}
"""

DETECTION = """
input_stream: "image"
input_stream: "picture_to_search"
input_stream: "is_detecting"
input_side_packet: "model_complexity"
input_side_packet: "smooth_landmarks"
input_side_packet: "enable_segmentation"
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE_CPU:image"
  output_stream: "SIZE:image_size"
}
node {
  calculator: "GateCalculator"
  input_stream: "picture_to_search"
  input_stream: "ALLOW:is_detecting"
  output_stream: "picture_searched"
}
node {
  calculator: "PoseDetectionCpu"
  input_stream: "IMAGE:picture_searched"
  output_stream: "DETECTIONS:detections"
}
"""

# As in MediaPipe's PoseLandmarkCpu, with the detection outside and two gates in front.
FOLLOWED_POSE = """
input_stream: "seed_N"
input_stream: "is_seeded_N"
input_stream: "is_kept_N"
node {
  calculator: "GateCalculator"
  input_stream: "seed_N"
  input_stream: "ALLOW:is_seeded_N"
  output_stream: "seed_region_N"
}
node {
  calculator: "PreviousLoopbackCalculator"
  input_stream: "MAIN:image"
  input_stream: "LOOP:next_region_N"
  input_stream_info: { tag_index: "LOOP" back_edge: true }
  output_stream: "PREV_LOOP:previous_region_N"
}
node {
  calculator: "GateCalculator"
  input_stream: "previous_region_N"
  input_stream: "ALLOW:is_kept_N"
  output_stream: "kept_region_N"
}
node {
  calculator: "MergeCalculator"
  input_stream: "seed_region_N"
  input_stream: "kept_region_N"
  output_stream: "region_N"
}
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:region_N"
  input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  input_side_packet: "ENABLE_SEGMENTATION:enable_segmentation"
  output_stream: "LANDMARKS:raw_pose_N"
  output_stream: "AUXILIARY_LANDMARKS:raw_auxiliary_N"
  output_stream: "WORLD_LANDMARKS:raw_world_N"
}
node {
  calculator: "PoseLandmarkFiltering"
  input_stream: "IMAGE_SIZE:image_size"
  input_stream: "NORM_LANDMARKS:raw_pose_N"
  input_stream: "AUX_NORM_LANDMARKS:raw_auxiliary_N"
  input_stream: "WORLD_LANDMARKS:raw_world_N"
  input_side_packet: "ENABLE:smooth_landmarks"
  output_stream: "FILTERED_NORM_LANDMARKS:pose_N"
  output_stream: "FILTERED_AUX_NORM_LANDMARKS:auxiliary_N"
}
node {
  calculator: "PoseLandmarksToRoi"
  input_stream: "LANDMARKS:auxiliary_N"
  input_stream: "IMAGE_SIZE:image_size"
  output_stream: "ROI:next_region_N"
}
"""

HANDS = """
node {
  calculator: "HandLandmarksLeftAndRightCpu"
  input_stream: "IMAGE:image"
  input_stream: "POSE_LANDMARKS:pose_N"
  output_stream: "LEFT_HAND_LANDMARKS:left_hand_N"
  output_stream: "RIGHT_HAND_LANDMARKS:right_hand_N"
}
"""


def open_graph(
    make: Any, max_persons: int, min_detection_confidence: float, min_tracking_confidence: float
) -> MediaPipeGraph:
    """Start the graph for ``max_persons``. make: MediaPipe's packet creator.

    Its inputs are ``image`` and, for several people, PICTURE_TO_SEARCH, IS_DETECTING and
    the three inputs of every :class:`SlotPackets`. Raises as MediaPipeGraph does.
    """
    slots = [SlotPackets(number) for number in range(max_persons)]
    outputs = [name for slot in slots for name in slot.outputs]
    settings: dict[str, Any] = {
        "model_complexity": make.create_int(MODEL_COMPLEXITY),
        "smooth_landmarks": make.create_bool(True),
        "enable_segmentation": make.create_bool(False),
    }
    if max_persons == 1:
        config = ONE_PERSON + _numbered(HANDS, 0)
        settings["smooth_segmentation"] = make.create_bool(True)
        settings["use_prev_landmarks"] = make.create_bool(True)
    else:
        person = FOLLOWED_POSE + HANDS
        config = DETECTION + "".join(_numbered(person, slot.number) for slot in slots)
        outputs.append(DETECTIONS)
    return MediaPipeGraph(
        config,
        outputs=outputs,
        side_packets=settings,
        options=_thresholds(min_detection_confidence, min_tracking_confidence),
    )


def _numbered(nodes: str, number: int) -> str:
    """``nodes`` with the slot's number in the names of their inputs and outputs, which end in N."""
    return nodes.replace('_N"', f'_{number}"')


def _thresholds(detection: float, tracking: float) -> tuple[NodeOption, ...]:
    """The options that the solution sets for its two confidences."""
    scores = "posedetectioncpu__TensorsToDetectionsCalculator"
    presence = "tensorstoposelandmarksandsegmentation__ThresholdingCalculator"
    return (scores, "min_score_thresh", detection), (presence, "threshold", tracking)
