"""Recognize a video: print its events, and write a copy with joints and signs drawn on it.

    python examples/video_file.py examples/data/videos/yo_001.mp4 out/yo_001.mp4

A file loses no frame, even on a slow machine. A recorded session (NAME.bhar-session) has no
pictures, so its joints are drawn on black.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bharsdk import (
    AnnotatedVideo,
    EventPhase,
    Recognizer,
    SourceConfig,
    StageSummary,
    exit_code_of,
)

UNKNOWN_FPS = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Annotate one video; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("video", type=Path, help="video, or NAME.bhar-session")
    parser.add_argument("out", type=Path, metavar="OUT.mp4", help="the annotated video")
    parser.add_argument("--model", default="asl-coffee", help="default %(default)s")
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: annotate(arguments), "video_file", extra="camera")


def annotate(arguments: argparse.Namespace) -> None:
    """Recognize the video, print its events and draw them."""
    recognizer = Recognizer(arguments.model)
    config = SourceConfig(max_frames=arguments.max_frames)
    signs, stages = 0, []
    with (
        recognizer.run(arguments.video, config=config) as run,
        # The file appears when it is complete. After an error there is none.
        AnnotatedVideo(arguments.out, run.fps or UNKNOWN_FPS) as video,
    ):
        for result in run:
            video.write(result)
            for event in result.events:
                print(event)
                signs += event.phase is EventPhase.END
            if not result.is_final:
                stages.append(result.stages)
    print(f"{arguments.out}: {len(stages)} frames, {signs} signs; {recognizer.backend}")
    for line in StageSummary.of(stages).lines():
        print(line)


if __name__ == "__main__":
    sys.exit(main())
