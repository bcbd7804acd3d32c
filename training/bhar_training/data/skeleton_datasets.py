"""Readers of the layouts in which public skeleton data sets come.

=====================  ====================================================================
``ntu``                ``SsssCcccPpppRrrrAaaa.skeleton``, text, NTU RGB+D 60 and 120
``archive``            ``.npz`` with x_train, y_train, x_test, y_test, as CTR-GCN prepares NTU
``kinetics``           Kinetics-skeleton: one JSON a clip, OpenPose's 18 joints in 2D
``nw-ucla``            one JSON a clip, ``aNN_sNN_eNN_vNN.json`` with "skeletons"
``utd-mhad``           ``aN_sN_tN_skeleton.mat`` with d_skel [20, 3, T]; its joints are put into
                       Kinect's order
``packed``             ``.npz`` with data, length, label and subject, view or trial; 20 joints
=====================  ====================================================================

In a folder, clips in which nobody is seen are left out and counted. Damaged files are refused, all
of them in one message. What was assumed is logged (:mod:`bhar_training.data.notes`).

Nothing in the files is trusted: counts, sizes and names are checked before they are used, pickles
refused.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bhar_training.console.progress import progress_bar
from bhar_training.data.labels import checked_labels
from bhar_training.data.npz import array_names, numbers_of, read_arrays, texts_of
from bhar_training.data.ntu import read_ntu
from bhar_training.data.skeleton_check import accept
from bhar_training.data.skeletons import SkeletonClips
from bharsdk.errors import BackendMissingError, InputError
from bharsdk.files.limits import MAX_CLIP_FRAMES, MAX_SKELETON_FILE_BYTES
from bharsdk.files.untrusted import read_json, reading, reason_of
from bharsdk.landmarks.skeleton import KINECT20, NTU25, OPENPOSE18

__all__ = ["read_skeletons"]

FloatArray = npt.NDArray[np.float32]

MAX_BODIES = 64
MOST_DAMAGED = 20
"""Files, after which there is no point in reading on."""
NTU_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
UCLA_NAME = re.compile(r"a(\d{2})_s(\d{2})_e(\d{2})_v(\d{2})", re.ASCII)
UTD_NAME = re.compile(r"a(\d{1,2})_s(\d)_t(\d)_skeleton", re.ASCII)
HEAD_FIRST = 0.2
"""Of the height of a body: so far above the hips the first joint is a head, or there are none."""
MAT_HEADER = 128
MAT_COMPRESSED = 15
"""The type of an element that is another one, deflated. (MATLAB's MAT-file format, level 5)"""


def read_skeletons(path: Path) -> SkeletonClips:
    """Read a file, or every clip in a folder, of one of the layouts of the module.

    Raises InputError naming the path when it is missing, damaged or of no known layout, or when
    nobody is seen in it.
    """
    with reading(path, expected="skeleton clips that can be read"):
        return _read_skeletons(path)


def _read_skeletons(path: Path) -> SkeletonClips:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, expected skeleton clips")
    if path.suffix == ".npz":
        return accept(_read_npz(path), path)
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in READERS)
    if not files or files[0].suffix not in READERS:
        raise InputError(f"{path}: got no skeleton clips, expected {', '.join(READERS)} or .npz")
    bar = progress_bar(files, desc="read", unit="clip", leave=False, delay=1.0)
    clips: list[SkeletonClips] = []
    damaged: list[InputError] = []
    empty, frames = list[Path](), 0
    for file in bar:
        try:
            found = READERS[file.suffix](_checked_size(file))
        except InputError as error:
            damaged.append(error)
            if len(damaged) == MOST_DAMAGED:
                break
            continue
        (points,) = found.clips
        if np.isnan(points).all():
            empty.append(file)
            frames = len(points)
        else:
            clips.append(found)
    if damaged:
        more = f"; and {len(damaged) - 1} more of {len(files):,} files" if damaged[1:] else ""
        raise InputError(f"{damaged[0]}{more}")
    if not clips:
        raise InputError(f"{empty[-1]}: got no body in {frames} frames, expected at least one")
    return accept(SkeletonClips.joined(clips), path, empty=empty)


def _read_ntu(path: Path) -> SkeletonClips:
    """One ``.skeleton`` file."""
    setup, camera, subject, _, action = _numbers(NTU_NAME, path)
    return SkeletonClips.of(
        NTU25, [read_ntu(path)], [str(action)], subjects=[subject], views=[camera], setups=[setup]
    )


def _read_kinetics(path: Path, data: dict[str, Any]) -> SkeletonClips:
    """Kinetics-skeleton: pose [x, y] x 18 and score, the two most confident persons a frame."""
    joints = OPENPOSE18.joint_count
    frames = _checked_frames(path, data["data"])
    points = np.full((max(1, len(frames)), joints, 3, 2), np.nan, np.float32)
    for i, frame in enumerate(frames):
        people = []
        for person in frame["skeleton"][:MAX_BODIES]:
            pose, score = (np.asarray(person[name], np.float64) for name in ("pose", "score"))
            if pose.shape != (2 * joints,) or score.shape != (joints,):
                raise InputError(
                    f"{path}: got {pose.size} coordinates and {score.size} scores in frame {i},"
                    f" expected {2 * joints} and {joints}"
                )
            people.append(np.concatenate([pose.reshape(joints, 2), score[:, None]], axis=1))
        people.sort(key=lambda person: -float(person[:, 2].sum()))
        for m, person in enumerate(people[:2]):
            points[i, :, :, m] = person
    label = checked_labels([data["label"]], [str(path)])
    return SkeletonClips.of(OPENPOSE18, [points], label)


def _read_ucla(path: Path, data: dict[str, Any]) -> SkeletonClips:
    """One NW-UCLA clip: "skeletons" [T, 20, 3], one person."""
    action, subject, _, view = _numbers(UCLA_NAME, path)
    points = np.asarray(_checked_frames(path, data["skeletons"]), np.float32)
    if points.ndim != 3 or points.shape[1:] != (KINECT20.joint_count, 3):
        raise InputError(f"{path}: got skeletons {list(points.shape)}, expected [frames, 20, 3]")
    return SkeletonClips.of(
        KINECT20, [points[..., None]], [str(action)], subjects=[subject], views=[view]
    )


def _checked_frames(path: Path, frames: Any) -> list[Any]:
    if not isinstance(frames, list) or not len(frames) <= MAX_CLIP_FRAMES:
        raise InputError(f"{path}: got no list of up to {MAX_CLIP_FRAMES} frames, expected one")
    return frames


def _read_json(path: Path) -> SkeletonClips:
    expected = "a clip of Kinetics-skeleton or NW-UCLA"
    with reading(path, expected=expected):
        try:
            data = read_json(path)
        except InputError as error:
            raise InputError(f"{error}: expected {expected}") from error
        with np.errstate(over="ignore"):  # what becomes infinite is refused when all is read
            return _read_ucla(path, data) if "skeletons" in data else _read_kinetics(path, data)


def _read_mat(path: Path) -> SkeletonClips:
    """One UTD-MHAD clip: d_skel [20, 3, T], one person."""
    try:
        from scipy.io import loadmat, whosmat
    except ModuleNotFoundError as error:
        raise BackendMissingError.for_extra("scipy", "train") from error
    action, subject, _ = _numbers(UTD_NAME, path)
    try:
        data = path.read_bytes()
        _check_expanded(data)
        for name, shape, kind in whosmat(io.BytesIO(data)):
            if name == "d_skel" and (shape[:2] != (20, 3) or kind not in ("double", "single")):
                raise InputError(
                    f"{path}: got d_skel {kind} {list(shape)}, expected [20, 3, frames]"
                )
        found = loadmat(io.BytesIO(data), variable_names=["d_skel"])["d_skel"]
    except InputError:
        raise
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise InputError(f"{path}: not a readable .mat with d_skel ({reason_of(error)})") from error
    shape = list(found.shape)
    if len(shape) != 3 or shape[:2] != [20, 3] or not 0 < shape[2] <= MAX_CLIP_FRAMES:
        raise InputError(f"{path}: got d_skel {shape}, expected [20, 3, frames]")
    with np.errstate(over="ignore"):
        points = _in_kinects_order(found.transpose(2, 0, 1).astype(np.float32))
    return SkeletonClips.of(KINECT20, [points[..., None]], [str(action)], subjects=[subject])


def _in_kinects_order(points: FloatArray) -> FloatArray:
    """Points [N, 20, 3] in the order of ``KINECT20``, hips first.

    UTD-MHAD has the same joints, but the first four from the head down. It shows in the heights.
    """
    heights = np.median(points[..., 1], axis=0)
    hips = heights[[KINECT20.joints.index(f"{side}_hip") for side in ("left", "right")]].mean()
    from_head = (np.diff(heights[:4]) < 0).all() and heights[0] - hips > HEAD_FIRST * np.ptp(
        heights
    )
    if from_head:
        return np.concatenate([points[:, 3::-1], points[:, 4:]], axis=1)
    return points


def _check_expanded(data: bytes) -> None:
    """Raise ValueError when what is deflated in a .mat file grows beyond a clip's size."""
    layout = {b"IM": "<II", b"MI": ">II"}.get(data[MAT_HEADER - 2 : MAT_HEADER])
    if layout is None:
        raise ValueError("not of level 5")
    at, total = MAT_HEADER, 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(layout, data, at)
        content = data[at + 8 : at + 8 + size]
        if kind == MAT_COMPRESSED:
            room = MAX_SKELETON_FILE_BYTES - total
            content = zlib.decompressobj().decompress(content, room + 1)
        total += len(content)
        if total > MAX_SKELETON_FILE_BYTES:
            raise ValueError(f"grows beyond {MAX_SKELETON_FILE_BYTES} bytes")
        at += 8 + size


READERS: dict[str, Callable[[Path], SkeletonClips]] = {
    ".skeleton": _read_ntu,
    ".json": _read_json,
    ".mat": _read_mat,
}


def _read_npz(path: Path) -> SkeletonClips:
    names = array_names(path)
    if {"x_train", "y_train", "x_test", "y_test"} <= set(names):
        return _read_archive(path)
    if {"data", "length", "label"} <= set(names):
        return _read_packed(path)
    raise InputError(
        f"{path}: got arrays {sorted(names)}, expected x_train, y_train, x_test and y_test, or"
        " data, length and label"
    )


def _read_archive(path: Path) -> SkeletonClips:
    """x [N, T, 150] (two persons x 25 joints x 3), y [N, classes] one-hot; zeros are padding."""
    clips: list[FloatArray] = []
    labels: list[str] = []
    parts: list[str] = []
    for part in ("train", "test"):
        arrays = read_arrays(path, (f"x_{part}", f"y_{part}"))
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if (
            x.ndim != 3
            or x.shape[2] != 2 * NTU25.joint_count * 3
            or not 0 < x.shape[1] <= MAX_CLIP_FRAMES
            or len(y) != len(x)
            or y.ndim != 2
            or not y.shape[1]
            or x.dtype.kind not in "fiu"
            or y.dtype.kind not in "biuf"
        ):
            raise InputError(
                f"{path}: got x_{part} {x.dtype} {list(x.shape)} and y_{part} {y.dtype}"
                f" {list(y.shape)}, expected numbers [clips, frames, 150] and [clips, classes]"
            )
        for clip, action in zip(x, y.argmax(1), strict=True):
            points = clip.reshape(len(clip), 2, NTU25.joint_count, 3).transpose(0, 2, 3, 1)
            seen = points.any(axis=(1, 2))  # [T, M]
            last = int(np.flatnonzero(seen.any(axis=1)).max(initial=0))
            with np.errstate(over="ignore"):
                points = points[: last + 1].astype(np.float32)
            points[~seen[: last + 1][:, None, None].repeat(25, 1).repeat(3, 2)] = np.nan
            clips.append(points)
            labels.append(str(action + 1))
            parts.append(part)
    return SkeletonClips.of(NTU25, clips, labels, parts=parts)


def _read_packed(path: Path) -> SkeletonClips:
    """data [frames, 20, 3]: all clips one after another, cut by ``length``."""
    arrays = read_arrays(path, ("data", "length", "label", "subject", "view"))
    data, lengths = arrays["data"], numbers_of(arrays["length"], f"{path}: length")
    if (
        data.ndim != 3
        or data.shape[1:] != (KINECT20.joint_count, 3)
        or data.dtype.kind not in "fiu"
        or not all(0 < length <= MAX_CLIP_FRAMES for length in lengths)
        or sum(lengths) != len(data)
        or not lengths
    ):
        raise InputError(
            f"{path}: got data {list(data.shape)} of {data.dtype} for {len(lengths)} lengths that"
            f" sum to {sum(lengths)}, expected numbers [frames, 20, 3] and as many frames"
        )
    labels = checked_labels(texts_of(arrays["label"], f"{path}: label"), str(path))
    numbers = {
        name: numbers_of(arrays[name], f"{path}: {name}")
        for name in ("subject", "view")
        if name in arrays
    }
    for name, values in (("label", labels), *numbers.items()):
        if len(values) != len(lengths):
            raise InputError(f"{path}: got {len(values)} of {name}, expected {len(lengths)}")
    cuts = np.cumsum(lengths)[:-1]
    with np.errstate(over="ignore"):
        ordered = _in_kinects_order(data.astype(np.float32))
    clips = [part[..., None] for part in np.split(ordered, cuts)]
    return SkeletonClips.of(
        KINECT20, clips, labels, subjects=numbers.get("subject"), views=numbers.get("view")
    )


def _numbers(pattern: re.Pattern[str], path: Path) -> tuple[int, ...]:
    match = pattern.fullmatch(path.stem)
    if match is None:
        raise InputError(
            f"{path}: got a name that does not say its clip, expected {pattern.pattern}"
        )
    return tuple(int(group) for group in match.groups())


def _checked_size(path: Path) -> Path:
    size = path.stat().st_size
    if not 0 < size <= MAX_SKELETON_FILE_BYTES:
        raise InputError(f"{path}: got {size} bytes, expected 1 to {MAX_SKELETON_FILE_BYTES}")
    return path
