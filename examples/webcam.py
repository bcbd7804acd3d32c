"""Show a camera in a window, with joints, the current sign, and speed. q quits.

    python examples/webcam.py                                       the first camera
    python examples/webcam.py rtsp://camera.local/stream            a network camera
    python examples/webcam.py examples/data/videos/yo_001.mp4 --no-window

Without a display it prints one line each second instead.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from bharsdk import Recognizer, Result, Run, SourceConfig, exit_code_of

TITLE = "bharsdk: q quits"
FPS_OVER_RESULTS = 30
PRINT_EVERY_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Show a source until q, Ctrl-C or its end; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="?", default="0", help="camera, address or file; default 0")
    parser.add_argument("--model", default="asl-coffee", help="default %(default)s")
    parser.add_argument("--no-window", action="store_true", help="print lines instead")
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    return exit_code_of(lambda: watch(parser.parse_args(argv)), "webcam", extra="camera")


def watch(arguments: argparse.Namespace) -> None:
    """Recognize the source and show each result."""
    recognizer = Recognizer(arguments.model)
    config = SourceConfig(max_frames=arguments.max_frames)
    view = Lines() if arguments.no_window or not has_display() else Window()
    print(f"{arguments.model} on {recognizer.backend}")
    # If this loop is slow, a camera drops its old frames, so the picture shown is always new.
    with recognizer.run(arguments.source, config=config) as run:
        health = Health(run)
        try:
            for result in run:
                for event in result.events:
                    print(event, flush=True)
                if not view.show(result, health.line(result)):
                    break
        except KeyboardInterrupt:
            pass
    print(f"{run.counts.delivered} frames shown, {run.counts.total_dropped} dropped")
    for cause, count in run.counts.dropped.items():
        print(f"  {count} {cause.value}")


def has_display() -> bool:
    """Whether a window can be opened."""
    if platform.system() != "Linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Health:
    """Frame rate, delay and losses of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._shown_s: deque[float] = deque(maxlen=FPS_OVER_RESULTS)

    def line(self, result: Result) -> str:
        """Return label, frame rate, age of this frame, dropped frames and state as text."""
        self._shown_s.append(time.monotonic())
        span_s = self._shown_s[-1] - self._shown_s[0]
        fps = (len(self._shown_s) - 1) / span_s if span_s > 0 else 0.0
        sign = f"{result.label} {result.score:.2f}" if result.label else "no sign"
        return (
            f"{sign:<16} {fps:5.1f} fps  age {result.age_ms:4.0f} ms"
            f"  dropped {self._run.counts.total_dropped}  {self._run.status}"
        )


class Lines:
    """Prints one line each second."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def show(self, result: Result, line: str) -> bool:
        """Print ``line`` at most once a second. Return True: go on."""
        if time.monotonic() >= self._next_s or result.is_final:
            print(line, flush=True)
            self._next_s = time.monotonic() + PRINT_EVERY_S
        return True


class Window:
    """Shows pictures in a window of OpenCV."""

    def __init__(self) -> None:
        import cv2  # the extra "camera" brings it

        self._cv2: Any = cv2

    def show(self, result: Result, line: str) -> bool:
        """Draw the frame with ``line`` below. Return False when q was pressed."""
        picture = result.plot()
        at = 8, picture.shape[0] - 10
        for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            self._cv2.putText(
                picture, line, at, self._cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, thickness
            )
        self._cv2.imshow(TITLE, picture)
        return bool(self._cv2.waitKey(1) & 0xFF != ord("q"))


if __name__ == "__main__":
    sys.exit(main())
