"""Draw a recorded sign and what the recognizer says about it as a GIF: the picture of the README.

    python docs/assets/make_picture.py docs/assets/thank-you.gif

A recording holds joints and no picture, so the joints are drawn on a plain background.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bharsdk import BharError, Event, EventPhase, Recognizer, Result, draw_landmarks

SESSIONS = Path(__file__).parents[2] / "examples" / "data" / "sessions"
SESSION = SESSIONS / "s2-a.bhar-session"
MODEL = "asl-coffee-prgcn"
START_S, END_S = 57.3, 59.7
"""A clip of the sign for "thank you", and how it ends, without the jump to the next clip."""
SIZE = (480, 360)
DRAWN = 2
"""Times as large it is drawn, so that lines are smooth when it is made smaller."""
BACKGROUND = (24, 20, 18)
QUIET, FOUND = (150, 150, 150), (120, 220, 140)
LAST_S = 1.2
"""For how long the last frame is held."""


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the picture; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT.gif")
    parser.add_argument("--session", type=Path, default=SESSION)
    parser.add_argument("--start", type=float, default=START_S, help="seconds, default %(default)s")
    parser.add_argument("--end", type=float, default=END_S, help="seconds, default %(default)s")
    parser.add_argument("--model", default=MODEL, help="default %(default)s")
    arguments = parser.parse_args(argv)
    try:
        frames = draw(arguments.model, arguments.session, arguments.start, arguments.end)
    except BharError as error:
        print(f"make_picture: error: {error}", file=sys.stderr)
        return error.exit_code
    if len(frames) < 2:
        print("make_picture: error: got no two frames from --start to --end", file=sys.stderr)
        return 2
    save(frames, arguments.out)
    print(f"{arguments.out}: {len(frames)} frames, {arguments.out.stat().st_size / 1000:.0f} kB")
    return 0


def draw(model: str, session: Path, start_s: float, end_s: float) -> list[Any]:
    """Recognize the session from its start, and draw what lies from start_s to end_s."""
    frames, ended = [], None
    for result in Recognizer(model).run(session):
        time_s = result.timestamp_ms / 1000
        if time_s > end_s:
            break
        if time_s < start_s or result.is_final:
            continue
        ended = next((e for e in result.events if e.phase is EventPhase.END), ended)
        frames.append(draw_frame(result, ended))
    return frames


def draw_frame(result: Result, ended: Event | None) -> Any:
    """Draw one frame: the joints, the sign that goes on, and the event that ended last."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    width, height = SIZE
    full_width = round(DRAWN * height * result.aspect)
    canvas = np.full((DRAWN * height, full_width, 3), BACKGROUND, np.uint8)
    for person in result.people:
        draw_landmarks(canvas, person.landmarks)
    left = max(0, (full_width - DRAWN * width) // 2)
    shown = canvas[:, left : left + DRAWN * width, ::-1]  # the middle; BGR to RGB
    thick = Image.fromarray(np.ascontiguousarray(shown)).filter(ImageFilter.MaxFilter(3))
    picture = thick.resize(SIZE, Image.Resampling.LANCZOS)

    text = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(30), ImageFont.load_default(16)
    if result.label is not None:
        text.text((16, 10), f"{result.label}  {result.score:.2f}", FOUND, large)
    else:
        text.text((16, 10), "no sign", QUIET, large)
    line, color = f"{result.timestamp_ms / 1000:.2f} s", QUIET
    if ended is not None and ended.end_ms is not None:
        span = f"{ended.start_ms / 1000:.2f} s to {ended.end_ms / 1000:.2f} s"
        line, color = f"event: {ended.label}, {span}, score {ended.score:.2f}", FOUND
    text.text((16, height - 28), line, color, small)
    return picture


def save(frames: Sequence[Any], out: Path) -> None:
    """Write the frames at the recording's pace, with one palette of 64 colors."""
    out.parent.mkdir(parents=True, exist_ok=True)
    first = frames[len(frames) // 2].quantize(64)
    small = [frame.quantize(palette=first, dither=0) for frame in frames]
    times_ms = [67] * (len(small) - 1) + [round(1000 * LAST_S)]
    small[0].save(out, save_all=True, append_images=small[1:], duration=times_ms, loop=0)


if __name__ == "__main__":
    sys.exit(main())
