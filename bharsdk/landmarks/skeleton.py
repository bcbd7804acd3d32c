"""Joint names, bones and partitions of every skeleton; the only place with joint indices.

A skeleton is a tree of bones (``parents``) plus ``extra_edges`` that close loops the body has and a
tree cannot show (shoulder to shoulder). Graph convolutions read :meth:`Skeleton.partitions`; bone
features read :meth:`Skeleton.bone_matrix`; augmentation reads ``mirror``.

Sources of the joint sets: MediaPipe Pose and Hands landmark tables; NTU RGB+D (Shahroudy et al.
2016); Kinect SDK 1.x; OpenPose COCO-18; COCO keypoints (17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError

__all__ = [
    "COCO17",
    "KINECT20",
    "MEDIAPIPE_BODY25",
    "MEDIAPIPE_HAND21",
    "MEDIAPIPE_HOLISTIC67",
    "NTU25",
    "OPENPOSE18",
    "SKELETONS",
    "BodyJoint",
    "HandJoint",
    "Skeleton",
    "joint_mapping",
    "landmark_joints",
    "skeleton_by_name",
]


class BodyJoint:
    """Indices into the MediaPipe pose landmarks that code refers to by name."""

    NOSE = 0
    LEFT_SHOULDER = 11
    RIGHT_SHOULDER = 12
    LEFT_WRIST = 15
    RIGHT_WRIST = 16
    LEFT_HIP = 23
    RIGHT_HIP = 24
    COUNT = 33
    """MediaPipe finds 33; the models use the first 25, the upper body down to the hips."""


class HandJoint:
    """Indices into the MediaPipe hand landmarks that code refers to by name."""

    WRIST = 0
    INDEX_MCP = 5
    MIDDLE_MCP = 9
    PINKY_MCP = 17
    COUNT = 21


@dataclass(frozen=True)
class Skeleton:
    """A named set of V joints joined by bones.

    joints: V names. parents: for each joint the index of its parent; the root is its own parent.
    mirror: for each joint the index of its counterpart on the other side (itself on the midline).
    extra_edges: pairs of joints joined in the graph without being a bone.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    extra_edges: tuple[tuple[int, int], ...] = ()

    @property
    def joint_count(self) -> int:
        """V, the number of joints."""
        return len(self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of every bone; V - 1 pairs for a tree."""
        return tuple((c, p) for c, p in enumerate(self.parents) if c != p)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Bones and extra edges, each once."""
        return self.bones + self.extra_edges

    def bone_matrix(self) -> npt.NDArray[np.float32]:
        """B float32 [V, V] with ``bone = joint @ B``: column c holds joint c minus its parent."""
        matrix = np.zeros((self.joint_count, self.joint_count), np.float32)
        for child, parent in self.bones:
            matrix[child, child] = 1.0
            matrix[parent, child] = -1.0
        return matrix

    def partitions(self) -> npt.NDArray[np.float32]:
        """A float32 [3, V, V]: self, centripetal, centrifugal, each column-normalized (A·D^-1).

        ``y = x @ A[k]`` sums over neighbors v of joint w. Extra edges join equals, so they count
        in both directions. (Yan et al. 2018, section 3.3)
        """
        v = self.joint_count
        inward = np.zeros((v, v), np.float32)
        for child, parent in self.bones:
            inward[child, parent] = 1.0
        outward = inward.T.copy()
        for a, b in self.extra_edges:
            for matrix in (inward, outward):
                matrix[a, b] = matrix[b, a] = 1.0
        return np.stack([np.eye(v, dtype=np.float32), _normalize(inward), _normalize(outward)])


def _normalize(adjacency: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    degree = adjacency.sum(axis=0)
    normalized: npt.NDArray[np.float32] = adjacency / np.where(degree > 0, degree, 1.0)
    return normalized.astype(np.float32)


def _mirror_by_name(joints: tuple[str, ...]) -> tuple[int, ...]:
    def other(name: str) -> str:
        if "left" in name:
            return name.replace("left", "right")
        return name.replace("right", "left")

    return tuple(joints.index(other(name)) for name in joints)


def _tree(
    name: str,
    bones: dict[str, str],
    root: str,
    order: tuple[str, ...],
    extra: tuple[tuple[str, str], ...] = (),
) -> Skeleton:
    """A skeleton from child -> parent names; ``order`` fixes the joint indices."""
    parents = tuple(order.index(bones.get(joint, root)) for joint in order)
    extra_edges = tuple((order.index(a), order.index(b)) for a, b in extra)
    return Skeleton(name, order, parents, _mirror_by_name(order), extra_edges)


def _sided(bones: dict[str, str]) -> dict[str, str]:
    """Repeat bones written with ``*`` for the left and for the right side."""
    return {
        child.replace("*", side): parent.replace("*", side)
        for child, parent in bones.items()
        for side in ("left", "right")
    }


# fmt: off
MEDIAPIPE_BODY25 = _tree(
    "mediapipe_body25",
    _sided({
        "*_eye_inner": "nose", "*_eye": "*_eye_inner", "*_eye_outer": "*_eye",
        "*_ear": "*_eye_outer", "mouth_*": "nose", "*_shoulder": "nose",
        "*_elbow": "*_shoulder", "*_wrist": "*_elbow", "*_pinky": "*_wrist",
        "*_index": "*_wrist", "*_thumb": "*_wrist", "*_hip": "*_shoulder",
    }),
    root="nose",
    order=(
        "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
        "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
        "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
        "right_hip",
    ),
    extra=(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
           ("mouth_left", "mouth_right")),
)

# A hand mirrors into itself: left and right hands are two instances that swap as wholes.
MEDIAPIPE_HAND21 = _tree(
    "mediapipe_hand21",
    {
        f"{finger}_{joint}": "wrist" if i == 0 else f"{finger}_{chain[i - 1]}"
        for finger, chain in {
            "thumb": ("cmc", "mcp", "ip", "tip"),
            **dict.fromkeys(("index", "middle", "ring", "pinky"), ("mcp", "pip", "dip", "tip")),
        }.items()
        for i, joint in enumerate(chain)
    },
    root="wrist",
    order=(
        "wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip",
        *(f"{finger}_{joint}" for finger in ("index", "middle", "ring", "pinky")
          for joint in ("mcp", "pip", "dip", "tip")),
    ),
    extra=(("index_mcp", "middle_mcp"), ("middle_mcp", "ring_mcp"), ("ring_mcp", "pinky_mcp")),
)

NTU25 = _tree(
    "ntu25",
    {
        "spine_base": "spine_mid", "spine_mid": "spine_shoulder", "neck": "spine_shoulder",
        "head": "neck",
        **_sided({
            "*_shoulder": "spine_shoulder", "*_elbow": "*_shoulder", "*_wrist": "*_elbow",
            "*_hand": "*_wrist", "*_hip": "spine_base", "*_knee": "*_hip", "*_ankle": "*_knee",
            "*_foot": "*_ankle", "*_thumb": "*_hand", "*_hand_tip": "*_thumb",
        }),
    },
    root="spine_shoulder",
    order=(
        "spine_base", "spine_mid", "neck", "head", "left_shoulder", "left_elbow", "left_wrist",
        "left_hand", "right_shoulder", "right_elbow", "right_wrist", "right_hand", "left_hip",
        "left_knee", "left_ankle", "left_foot", "right_hip", "right_knee", "right_ankle",
        "right_foot", "spine_shoulder", "left_hand_tip", "left_thumb", "right_hand_tip",
        "right_thumb",
    ),
)

KINECT20 = _tree(
    "kinect20",
    {
        "hip_center": "spine", "shoulder_center": "spine", "head": "shoulder_center",
        **_sided({
            "*_shoulder": "shoulder_center", "*_elbow": "*_shoulder", "*_wrist": "*_elbow",
            "*_hand": "*_wrist", "*_hip": "hip_center", "*_knee": "*_hip", "*_ankle": "*_knee",
            "*_foot": "*_ankle",
        }),
    },
    root="spine",
    order=(
        "hip_center", "spine", "shoulder_center", "head", "left_shoulder", "left_elbow",
        "left_wrist", "left_hand", "right_shoulder", "right_elbow", "right_wrist", "right_hand",
        "left_hip", "left_knee", "left_ankle", "left_foot", "right_hip", "right_knee",
        "right_ankle", "right_foot",
    ),
)

OPENPOSE18 = _tree(
    "openpose18",
    {
        "nose": "neck",
        **_sided({
            "*_shoulder": "neck", "*_elbow": "*_shoulder", "*_wrist": "*_elbow",
            "*_hip": "*_shoulder", "*_knee": "*_hip", "*_ankle": "*_knee", "*_eye": "nose",
            "*_ear": "*_eye",
        }),
    },
    root="neck",
    order=(
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
        "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
        "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
    ),
)

COCO17 = _tree(
    "coco17",
    _sided({
        "*_eye": "nose", "*_ear": "*_eye", "*_shoulder": "nose", "*_elbow": "*_shoulder",
        "*_wrist": "*_elbow", "*_hip": "*_shoulder", "*_knee": "*_hip", "*_ankle": "*_knee",
    }),
    root="nose",
    order=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    extra=(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
)
# fmt: on


def _holistic() -> Skeleton:
    """Body, left hand, right hand as one graph; each hand hangs from the wrist of the body."""
    body, hand = MEDIAPIPE_BODY25, MEDIAPIPE_HAND21
    joints, parents, mirror = list(body.joints), list(body.parents), list(body.mirror)
    extra = list(body.extra_edges)
    starts = {"left": body.joint_count, "right": body.joint_count + hand.joint_count}
    other = {"left": "right", "right": "left"}
    for side, start in starts.items():
        joints += [f"{side}_hand_{name}" for name in hand.joints]
        parents += [start + parent for parent in hand.parents]
        mirror += [starts[other[side]] + joint for joint in range(hand.joint_count)]
        extra += [(start + a, start + b) for a, b in hand.extra_edges]
        parents[start + HandJoint.WRIST] = body.joints.index(f"{side}_wrist")
    return Skeleton(
        "mediapipe_holistic67", tuple(joints), tuple(parents), tuple(mirror), tuple(extra)
    )


MEDIAPIPE_HOLISTIC67 = _holistic()

SKELETONS: dict[str, Skeleton] = {
    s.name: s
    for s in (
        MEDIAPIPE_BODY25,
        MEDIAPIPE_HAND21,
        MEDIAPIPE_HOLISTIC67,
        NTU25,
        KINECT20,
        OPENPOSE18,
        COCO17,
    )
}

SAME_JOINTS = {(COCO17.name, MEDIAPIPE_BODY25.name)}
"""(from, to): joints of one name are the same joint. A joint that only ``to`` has becomes NaN."""


def skeleton_by_name(name: str) -> Skeleton:
    """The skeleton called ``name``. Raises InputError naming the known ones."""
    if name not in SKELETONS:
        raise InputError(f"skeleton: got {name!r}, expected one of {sorted(SKELETONS)}")
    return SKELETONS[name]


def landmark_joints(name: str) -> int:
    """Return how many joints landmarks of the skeleton ``name`` hold.

    MediaPipe's body has 33 in landmarks; models use the first 25. Raises InputError on an unknown
    name.
    """
    skeleton = skeleton_by_name(name)
    return BodyJoint.COUNT if skeleton is MEDIAPIPE_BODY25 else skeleton.joint_count


def joint_mapping(source: str, target: str) -> tuple[int, ...] | None:
    """Return for each landmark of ``target`` its index in ``source``, -1 where it has none.

    None: no mapping between the two is declared in :data:`SAME_JOINTS`.
    """
    if source == target:
        return tuple(range(landmark_joints(target)))
    if (source, target) not in SAME_JOINTS:
        return None
    there, wanted = skeleton_by_name(source).joints, skeleton_by_name(target).joints
    found = [there.index(joint) if joint in there else -1 for joint in wanted]
    return tuple(found + [-1] * (landmark_joints(target) - len(wanted)))
