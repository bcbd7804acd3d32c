"""Compare bharsdk's landmarker with MediaPipe Holistic: time, and difference of the landmarks.

::

    python examples/compare_landmarkers.py VIDEO... [--frames N] [--rounds N] [--depth N]

Each round runs both over the same decoded pictures, one after the other, so that other work of the
machine slows both equally. The start of a landmarker does not count. ``pipelined`` sends up to
``--depth`` pictures before it receives the first; ``one by one`` waits for each, as Holistic does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bharsdk import (
    BodyHandsConfig,
    BodyHandsLandmarker,
    HolisticLandmarker,
    Image,
    InputError,
    Landmarks,
    exit_code_of,
)

FloatArray = npt.NDArray[np.float32]
BODY, LEFT, RIGHT = 0, 33, 54
"""First joints of the three parts in [75, 3]: 33 of the body and 21 of each hand."""


@dataclass(frozen=True)
class Run:
    """One pass over a video: its landmarks, and milliseconds for each frame.

    joints: float32 [T, 75, 3]. wait_ms: median time from giving a picture to getting its landmarks.
    elapsed_ms: time of the whole pass divided by the number of pictures. cpu_ms: CPU time of all
    threads divided by the number of pictures.
    """

    joints: FloatArray
    wait_ms: float
    elapsed_ms: float
    cpu_ms: float


def main(argv: Sequence[str] | None = None) -> int:
    """Compare on each video and print the times; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO")
    parser.add_argument("--frames", type=int, default=60, help="of each video (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts (default 3)")
    parser.add_argument("--depth", type=int, default=BodyHandsConfig().depth)
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: _compare_all(arguments), "compare_landmarkers", extra="camera")


def _compare_all(arguments: argparse.Namespace) -> None:
    ways = {"Holistic": 0, "one by one": 1, "pipelined": arguments.depth}
    medians = []
    for path in arguments.videos:
        pictures = _read(path, arguments.frames)
        rounds = [
            [_run(pictures, depth) for depth in ways.values()] for _ in range(arguments.rounds)
        ]
        print(f"{path.name}: {len(pictures)} frames, {arguments.rounds} rounds")
        times = np.median([[_times(run) for run in runs] for runs in rounds], axis=0)
        for name, (wait, elapsed, cpu) in zip(ways, times, strict=True):
            print(
                f"  {name:<11}{elapsed:6.1f} ms a frame ({1e3 / elapsed:5.1f}/s),"
                f" CPU {cpu:5.1f} ms; landmarks after {wait:6.1f} ms"
            )
        _print_differences(*(run.joints for run in rounds[0]))
        medians.append(times)
    wait, elapsed, cpu = np.moveaxis(np.array(medians), -1, 0)
    print("Holistic's time divided by ours, median over videos:")
    for index, name in enumerate(ways):
        if index:
            ratios = [np.median(values[:, 0] / values[:, index]) for values in (elapsed, cpu, wait)]
            print("  {:<11}{:.2f} (CPU {:.2f}, wait {:.2f})".format(name, *ratios))


def _read(path: Path, count: int) -> list[tuple[Image, float]]:
    """Return the first pictures of a video, uint8 BGR, with their times in milliseconds."""
    import cv2  # the extra "camera" brings it

    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(f"{path}: got no video that OpenCV can read, expected its path")
    fps = video.get(cv2.CAP_PROP_FPS) or 30.0
    pictures: list[tuple[Image, float]] = []
    while len(pictures) < count:
        is_read, image = video.read()
        if not is_read:
            break
        pictures.append((np.asarray(image, np.uint8), len(pictures) * 1000.0 / fps))
    video.release()
    if not pictures:
        raise InputError(f"{path}: got a video without pictures, expected at least one")
    return pictures


def _run(pictures: Sequence[tuple[Image, float]], depth: int) -> Run:
    """Find the landmarks of all pictures. depth: pictures under way at once; 0 is Holistic."""
    begun_s: list[float] = []
    waits_s: list[float] = []
    people: list[Sequence[Landmarks]] = []
    landmarker: HolisticLandmarker | BodyHandsLandmarker = (
        BodyHandsLandmarker(BodyHandsConfig(depth=depth)) if depth else HolisticLandmarker()
    )
    with landmarker:
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        for number, picture in enumerate([*pictures, *[None] * depth]):
            if isinstance(landmarker, BodyHandsLandmarker) and number >= depth:
                people.append(landmarker.receive())
                waits_s.append(time.perf_counter() - begun_s[number - depth])
            if picture is None:
                continue
            begun_s.append(time.perf_counter())
            if isinstance(landmarker, BodyHandsLandmarker):
                landmarker.send(*picture)
            else:
                people.append(landmarker.detect(*picture))
                waits_s.append(time.perf_counter() - begun_s[number])
        elapsed_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    joints = np.stack([_joints(found) for found in people])
    share = 1e3 / len(pictures)
    return Run(joints, float(np.median(waits_s)) * 1e3, elapsed_s * share, cpu_s * share)


def _times(run: Run) -> tuple[float, float, float]:
    return run.wait_ms, run.elapsed_ms, run.cpu_ms


def _joints(people: Sequence[Landmarks]) -> FloatArray:
    """Return x, y, z of the first person's joints, float32 [75, 3]; NaN without a person."""
    person = people[0] if people else Landmarks.empty(0.0)
    return np.concatenate([person.body[:, :3], *person.hands])


def _print_differences(holistic: FloatArray, one_by_one: FloatArray, pipelined: FloatArray) -> None:
    """Print how the landmarks of the three passes differ, each float32 [T, 75, 3]."""
    apart = np.abs(pipelined - holistic)[..., :2]
    both = ~np.isnan(apart)
    mean, largest = (apart[both].mean(), apart[both].max()) if both.any() else (0.0, 0.0)
    equal = np.array_equal(holistic, pipelined, equal_nan=True)
    print(
        f"  x and y differ from Holistic's by {mean:.1g} of the image in the mean, {largest:.1g} at"
        f" most; {'every value is the same' if equal else 'not every value is the same'}"
    )
    if not np.array_equal(one_by_one, pipelined, equal_nan=True):
        print("  one by one and pipelined differ")
    for name, first in (("body", BODY), ("left hand", LEFT), ("right hand", RIGHT)):
        theirs, ours = (100 * (~np.isnan(j[:, first, 0])).mean() for j in (holistic, pipelined))
        print(
            f"  {name:<11}found in {theirs:.0f} % of the frames by Holistic, {ours:.0f} % by ours"
        )


if __name__ == "__main__":
    sys.exit(main())
