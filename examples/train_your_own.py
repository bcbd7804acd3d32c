"""Your own gestures, from a folder of videos to a model that recognizes them.

    python examples/train_your_own.py videos out/mine

::

    videos/<label>/*.mp4          one gesture a video; or a folder of pictures; or
                                  NAME.bhar-session, what bhar record writes
    videos/-/*.mp4                "nothing": what people do between gestures; worth having
    out/mine/clips  run  mine.bhar

Ten to twenty videos a gesture, of more than one person, are a beginning. Called again, it goes on
where it stopped. Each step is a command too, with more options: it is printed before it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bhar_export.cli import main as bhar_export
from bhar_training.cli import main as bhar_train
from bhar_training.data.clip_files import find_videos
from bharsdk import Recognizer
from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.errors import InputError
from bharsdk.files.outputs import declare_files, refuse_overwriting
from bharsdk.files.writing import write_atomically
from bharsdk.recordings.session_file import SUFFIX

NOTHING = "-"


def main(argv: Sequence[str] | None = None) -> int:
    """All steps; returns the exit code, that of the step that failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("videos", type=Path, help=f"folder <label>/*.mp4 or <label>/*{SUFFIX}")
    parser.add_argument("out", type=Path, help="folder to fill")
    parser.add_argument("--model", default="pr-gcn", help="or bharnet-e; default %(default)s")
    parser.add_argument("--epochs", type=int, default=20, help="default %(default)s")
    parser.add_argument("--draws", type=int, help="clips drawn an epoch; default at least 512")
    parser.add_argument("--int8", action="store_true", help="smaller; needs clips enough to prove")
    parser.add_argument("--jobs", type=int, help="videos at a time, default: all cores")
    declare_files(parser, reads=("videos",), writes=("out",))
    arguments = parser.parse_args(argv)
    return exit_code_of(
        lambda: teach(arguments), "train_your_own", arguments=arguments, extra="train"
    )


def teach(arguments: argparse.Namespace) -> int:
    """Landmarks, training, export, a first look; the first step that fails ends it."""
    clips, run = arguments.out / "clips", arguments.out / "run"
    bundle = arguments.out / f"{arguments.out.resolve().name}.bhar"
    outputs = [("out", clips), ("out", run)]
    refuse_overwriting(outputs, [("videos", arguments.videos)])
    steps: list[Callable[[], int]] = [
        lambda: landmarks(arguments.videos, clips, arguments.jobs),
        lambda: train(clips, run, arguments),
        lambda: export(run, clips, bundle, int8=arguments.int8),
        lambda: look(bundle, clips),
    ]
    for step in steps:
        code = step()
        if code != 0:
            return code
    print(f"\nTry it on your camera:  bhar run 0 --model {bundle}")
    return 0


def landmarks(videos: Path, clips: Path, jobs: int | None) -> int:
    """Joints of every video; pictures are not needed after this, and not kept."""
    print("1. Joints: MediaPipe finds body and hands in every frame of every video")
    sessions = sorted(videos.glob(f"*/*{SUFFIX}"))
    for path in sessions:
        target = clips / path.parent.name / path.name
        refuse_overwriting([("out", target)], [("videos", path)])
        write_atomically(target, path.read_bytes(), parents=True)
    try:
        find_videos([videos])
    except InputError as error:
        if not sessions:
            raise
        print(f"   the recorded sessions alone: {error}")
        return 0
    many = [] if jobs is None else ["--jobs", str(jobs)]
    return _do(bhar_train, "bhar-train", ["extract", str(videos), "--out", str(clips), *many])


def train(clips: Path, run: Path, arguments: argparse.Namespace) -> int:
    """A tenth of the clips is held out, and says after each epoch how the rest is learnt."""
    print("\n2. Training: a graph network on windows of joints, moved about and stretched in time")
    command = ["fit", "--model", arguments.model, "--data", str(clips), "--out", str(run)]
    command += ["--epochs", str(arguments.epochs)]
    if arguments.draws is not None:
        command += ["--draws", str(arguments.draws)]
    if not (clips / NOTHING).is_dir():
        print(f"   no folder {NOTHING!r}: what is no gesture is learnt from parts of gestures")
        command += ["--add-background"]
    if (run / "checkpoint").is_dir():
        command += ["--resume"]
    return _do(bhar_train, "bhar-train", command)


def export(run: Path, clips: Path, bundle: Path, *, int8: bool) -> int:
    """The bundle carries clips with their answers, which it must give wherever it is loaded."""
    print("\n3. Export: for bharsdk's kernels and ONNX Runtime; both must give what torch gives")
    ranges = ["--int8", "--calib", str(clips)] if int8 else []
    command = [str(run), "--target", "native", *ranges, "--output", str(bundle)]
    return _do(bhar_export, "bhar-export", command)


def look(bundle: Path, clips: Path) -> int:
    """One clip of each label through the bundle, as a camera's frames would go."""
    print("\n4. Recognizing: one clip of each label. It has learnt from these: they show that the")
    print("   chain works, and no more. How good it is, other people's clips show: bhar-train eval")
    recognizer = Recognizer(bundle)
    print(f"   {recognizer.backend}")
    for folder in sorted(path for path in clips.iterdir() if path.is_dir()):
        clip = min(folder.glob(f"*{SUFFIX}"))
        found = [f"{event.label} {event.score:.2f}" for event in recognizer.recognize_clip(clip)]
        print(f"   {folder.name:<12} -> {', '.join(found) or 'no event'}")
    return 0


def _do(command: Callable[[Sequence[str]], int], name: str, arguments: list[str]) -> int:
    print(f"   {name} {' '.join(arguments)}", flush=True)
    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
