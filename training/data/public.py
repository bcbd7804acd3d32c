"""Readers of the layouts in which public skeleton data sets come.

=====================  ====================================================================
``ntu``                ``SsssCcccPpppRrrrAaaa.skeleton``, text, NTU RGB+D 60 and 120
``archive``            ``.npz`` with x_train, y_train, x_test, y_test, as CTR-GCN prepares NTU
``kinetics``           Kinetics-skeleton: one JSON a clip, OpenPose's 18 joints in 2D
``nw-ucla``            one JSON a clip, ``aNN_sNN_eNN_vNN.json`` with "skeletons"
``utd-mhad``           ``aN_sN_tN_skeleton.mat`` with d_skel [20, 3, T]
``packed``             ``.npz`` with data, length, label and subject, view or trial; 20 joints
=====================  ====================================================================

Nothing in the files is trusted: counts and names are checked before they are used, pickles refused.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from bhar_training.data.skeletons import SkeletonClips
from bharsdk.errors import BackendMissingError, InputError
from bharsdk.skeleton import KINECT20, NTU25, OPENPOSE18

__all__ = ["read_skeletons"]

FloatArray = npt.NDArray[np.float32]

MAX_FRAMES, MAX_BODIES, MAX_BYTES = 20_000, 64, 512 * 2**20
NTU_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
UCLA_NAME = re.compile(r"a(\d{2})_s(\d{2})_e(\d{2})_v(\d{2})")
UTD_NAME = re.compile(r"a(\d{1,2})_s(\d)_t(\d)_skeleton")
SHORT_TRACK = 10
"""Frames. A shorter track beside a longer one is a chair or a reflection, not a person."""


def read_skeletons(path: Path) -> SkeletonClips:
    """Read a file, or every clip in a folder, of one of the layouts of the module.

    Raises InputError naming the path when it is missing, damaged or of no known layout.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, expected skeleton clips")
    if path.suffix == ".npz":
        return _read_npz(path)
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in READERS)
    if not files or files[0].suffix not in READERS:
        raise InputError(f"{path}: got no skeleton clips, expected {', '.join(READERS)} or .npz")
    bar = tqdm(files, desc="read", unit="clip", leave=False, delay=1.0, disable=None)
    return SkeletonClips.joined([READERS[file.suffix](_checked_size(file)) for file in bar])


def _read_ntu(path: Path) -> SkeletonClips:
    """One ``.skeleton`` file (Shahroudy et al. 2016): the two bodies that move most."""
    setup, camera, subject, _, action = _numbers(NTU_NAME, path)
    words = iter(path.read_text(encoding="ascii", errors="replace").split())

    def count(what: str, limit: int) -> int:
        word = next(words)
        if not word.isdecimal() or int(word) > limit:
            raise InputError(f"{path}: got {what} {word!r}, expected a number up to {limit}")
        return int(word)

    try:
        frames = count("frame count", MAX_FRAMES)
        tracks: dict[str, FloatArray] = {}
        for frame in range(frames):
            for _ in range(count("body count", MAX_BODIES)):
                body, *_ = [next(words) for _ in range(10)]
                joints = count("joint count", NTU25.joint_count)
                values = np.array([next(words) for _ in range(joints * 12)], np.float64)
                if joints != NTU25.joint_count or not np.isfinite(values).all():
                    raise InputError(f"{path}: got {joints} joints in frame {frame}, expected 25")
                if body not in tracks:
                    tracks[body] = np.full((frames, NTU25.joint_count, 3), np.nan, np.float32)
                tracks[body][frame] = values.reshape(joints, 12)[:, :3]
    except (StopIteration, ValueError) as error:
        raise InputError(f"{path}: ends early or holds no numbers, expected NTU RGB+D") from error
    if not tracks:
        raise InputError(f"{path}: got no body in {frames} frames, expected at least one")
    points = _most_active(list(tracks.values()))
    return SkeletonClips.of(
        NTU25, [points], [str(action)], subjects=[subject], views=[camera], setups=[setup]
    )


def _most_active(tracks: list[FloatArray]) -> FloatArray:
    """Tracks [T, V, 3], NaN where not seen -> the two with the largest variance, [T, V, 3, 2]."""
    lengths = [int(np.isfinite(track[:, 0, 0]).sum()) for track in tracks]
    if max(lengths) > SHORT_TRACK:
        tracks = [t for t, n in zip(tracks, lengths, strict=True) if n > SHORT_TRACK]
    tracks = sorted(tracks, key=lambda track: -float(np.nanvar(track, axis=0).sum()))[:2]
    missing = np.full_like(tracks[0], np.nan)
    return np.stack([*tracks, missing][:2], axis=3)


def _read_kinetics(path: Path, data: dict[str, Any]) -> SkeletonClips:
    """Kinetics-skeleton: pose [x, y] x 18 and score, the two most confident persons a frame."""
    joints = OPENPOSE18.joint_count
    frames = data["data"]
    points = np.full((len(frames), joints, 3, 2), np.nan, np.float32)
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
    return SkeletonClips.of(OPENPOSE18, [points], [str(data["label"])])


def _read_ucla(path: Path, data: dict[str, Any]) -> SkeletonClips:
    """One NW-UCLA clip: "skeletons" [T, 20, 3], one person."""
    action, subject, _, view = _numbers(UCLA_NAME, path)
    points = np.asarray(data["skeletons"], np.float32)
    if points.ndim != 3 or points.shape[1:] != (KINECT20.joint_count, 3):
        raise InputError(f"{path}: got skeletons {list(points.shape)}, expected [frames, 20, 3]")
    return SkeletonClips.of(
        KINECT20, [points[..., None]], [str(action)], subjects=[subject], views=[view]
    )


def _read_json(path: Path) -> SkeletonClips:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if "skeletons" in data:
            return _read_ucla(path, data)
        return _read_kinetics(path, data)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: got {error}, expected a clip of Kinetics-skeleton or NW-UCLA"
        ) from error


def _read_mat(path: Path) -> SkeletonClips:
    """One UTD-MHAD clip: d_skel [20, 3, T], one person."""
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError as error:
        raise BackendMissingError.for_extra("scipy", "train") from error
    action, subject, _ = _numbers(UTD_NAME, path)
    try:
        found = loadmat(path, variable_names=["d_skel"])["d_skel"]
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise InputError(f"{path}: not a readable .mat with d_skel ({error})") from error
    if found.ndim != 3 or found.shape[:2] != (KINECT20.joint_count, 3):
        raise InputError(f"{path}: got d_skel {list(found.shape)}, expected [20, 3, frames]")
    points = found.transpose(2, 0, 1).astype(np.float32)[..., None]
    return SkeletonClips.of(KINECT20, [points], [str(action)], subjects=[subject])


READERS: dict[str, Callable[[Path], SkeletonClips]] = {
    ".skeleton": _read_ntu,
    ".json": _read_json,
    ".mat": _read_mat,
}


def _read_npz(path: Path) -> SkeletonClips:
    damaged = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
    try:
        with np.load(path, allow_pickle=False) as archive:
            if {"x_train", "y_train", "x_test", "y_test"} <= set(archive.files):
                return _read_archive(path, archive)
            arrays = {name: archive[name] for name in archive.files}
    except damaged as error:
        raise InputError(f"{path}: not a readable .npz without pickles ({error})") from error
    if not {"data", "length", "label"} <= set(arrays):
        raise InputError(
            f"{path}: got arrays {sorted(arrays)}, expected x_train, y_train, x_test and y_test, or"
            " data, length and label"
        )
    return _read_packed(path, arrays)


def _read_archive(path: Path, archive: Any) -> SkeletonClips:
    """x [N, T, 150] (two persons x 25 joints x 3), y [N, classes] one-hot; zeros are padding."""
    clips: list[FloatArray] = []
    labels: list[str] = []
    parts: list[str] = []
    for part in ("train", "test"):
        x, y = archive[f"x_{part}"], archive[f"y_{part}"]
        if (
            x.ndim != 3
            or x.shape[2] != 2 * NTU25.joint_count * 3
            or len(y) != len(x)
            or y.ndim != 2
        ):
            raise InputError(
                f"{path}: got x_{part} {list(x.shape)} and y_{part} {list(y.shape)}, expected"
                " [clips, frames, 150] and [clips, classes]"
            )
        for clip, action in zip(x, y.argmax(1), strict=True):
            points = clip.reshape(len(clip), 2, NTU25.joint_count, 3).transpose(0, 2, 3, 1)
            seen = points.any(axis=(1, 2))  # [T, M]
            last = int(np.flatnonzero(seen.any(axis=1)).max(initial=0))
            points = points[: last + 1].astype(np.float32)
            points[~seen[: last + 1][:, None, None].repeat(25, 1).repeat(3, 2)] = np.nan
            clips.append(points)
            labels.append(str(action + 1))
            parts.append(part)
    return SkeletonClips.of(NTU25, clips, labels, parts=parts)


def _read_packed(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> SkeletonClips:
    """data [frames, 20, 3]: all clips one after another, cut by ``length``."""
    data, lengths = arrays["data"], arrays["length"]
    if (
        data.ndim != 3
        or data.shape[1:] != (KINECT20.joint_count, 3)
        or lengths.min(initial=1) < 1
        or lengths.sum() != len(data)
    ):
        raise InputError(
            f"{path}: got data {list(data.shape)} for lengths that sum to {lengths.sum()}, expected"
            " [frames, 20, 3] and as many frames"
        )
    cuts = np.cumsum(lengths)[:-1]
    clips = [part[..., None].astype(np.float32) for part in np.split(data, cuts)]
    return SkeletonClips.of(
        KINECT20,
        clips,
        [str(label) for label in arrays["label"]],
        subjects=_integers(arrays.get("subject")),
        views=_integers(arrays.get("view")),
    )


def _integers(array: npt.NDArray[Any] | None) -> list[int] | None:
    return None if array is None else [int(value) for value in array]


def _numbers(pattern: re.Pattern[str], path: Path) -> tuple[int, ...]:
    match = pattern.fullmatch(path.stem)
    if match is None:
        raise InputError(
            f"{path}: got a name that does not say its clip, expected {pattern.pattern}"
        )
    return tuple(int(group) for group in match.groups())


def _checked_size(path: Path) -> Path:
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise InputError(f"{path}: got {size} bytes, expected 1 to {MAX_BYTES}")
    return path
