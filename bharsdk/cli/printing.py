"""What ``bhar run`` and ``bhar replay`` print: events, progress, and a summary."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bharsdk.cli.progress import ProgressLine

if TYPE_CHECKING:
    from bharsdk.events import Event
    from bharsdk.pipeline.run import Run
    from bharsdk.recognition.results import Result, StageTimes

__all__ = ["Printer", "show_results"]

CAMERA_VIDEO_FPS = 15.0
"""What a camera with MediaPipe delivers on a small machine; cameras do not say it beforehand."""
PROGRESS_AFTER_S = 2.0


def show_results(run: Run, printer: Printer, save: Path | None) -> bool:
    """Print every result, and draw it into a video if asked. Returns whether Ctrl-C ended it."""
    from bharsdk.recognition.drawing import AnnotatedVideo

    video = None if save is None else AnnotatedVideo(save, lambda: run.fps or CAMERA_VIDEO_FPS)
    try:
        # Entered inside the try, so that Ctrl-C passes through it and it keeps its file.
        with video or contextlib.nullcontext():
            for result in run:
                printer.show(result)
                if video is not None:
                    video.write(result)
    except KeyboardInterrupt:
        return True
    finally:
        printer.clear()
    return False


class Printer:
    """Events to stdout, and for longer files a progress line to a stderr that is a terminal."""

    def __init__(self, total: int | None, *, as_json: bool) -> None:
        self._total = total
        self._as_json = as_json
        self._stages: list[StageTimes] = []
        self.events: list[Event] = []
        self._begin_s = time.monotonic()
        self._progress = ProgressLine()

    def show(self, result: Result) -> None:
        """The events of one frame."""
        self.events += result.events
        if not result.is_final:
            self._stages.append(result.stages)
        if result.events:
            self.clear()
        for event in result.events:
            line = json.dumps(event.to_dict()) if self._as_json else str(event)
            print(line, flush=True)
        if self._total is not None and time.monotonic() - self._begin_s > PROGRESS_AFTER_S:
            self._progress.show(f"frame {result.frame_number + 1} of {self._total}")

    def clear(self) -> None:
        """Take the progress line away."""
        self._progress.clear()

    def summarize(self, backend: str, run: Run) -> None:
        """What the stages took, and what became of the frames."""
        from bharsdk.recognition.results import StageSummary

        summary, counts = StageSummary.of(self._stages), run.counts
        if self._as_json:
            values = {
                **asdict(summary),
                "backend": backend,
                "captured": counts.captured,
                "delivered": counts.delivered,
                "dropped": {cause.name.lower(): n for cause, n in counts.dropped.items()},
            }
            print(json.dumps({"summary": values}), flush=True)
            return
        print(f"{summary.frames} frames")
        for cause, count in counts.dropped.items():
            print(f"  {count} dropped: {cause.value}")
        print(f"  {backend}")
        for line in summary.lines():
            print(line)
