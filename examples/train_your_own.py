"""Train a model on your own gestures: from a folder of videos to a bundle that recognizes them.

    python examples/train_your_own.py videos out/mine

::

    videos/<label>/*.mp4          one gesture in each video, folder of pictures, or recording of
                                  bhar record (NAME.bhar-session)
    videos/-/*.mp4                no gesture: what people do between gestures; worth having
    out/mine/clips  run  mine.bhar

Begin with ten to twenty videos of each gesture, from more than one person. If you start the program
again, it goes on where it stopped. Each step is a command; the program prints it, then runs it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bharsdk import Recognizer, UsageError, exit_code_of

SUFFIX = ".bhar-session"
NOTHING = "-"
COMMANDS = {"bhar-train": "bhar_training.cli", "bhar-export": "bhar_export.cli"}
"""The module of each command, so that it runs in this Python, wherever that is installed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run all steps; return 0, or the exit code of the step that failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("videos", type=Path, help=f"folder <label>/*.mp4 or <label>/*{SUFFIX}")
    parser.add_argument("out", type=Path, help="folder to fill")
    parser.add_argument("--model", default="pr-gcn", help="or bharnet-e; default %(default)s")
    parser.add_argument("--epochs", type=int, default=20, help="default %(default)s")
    parser.add_argument("--draws", type=int, help="clips drawn an epoch; default at least 512")
    parser.add_argument("--int8", action="store_true", help="smaller model; needs more clips")
    parser.add_argument("--jobs", type=int, help="videos at a time, default: all cores")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: teach(arguments), "train_your_own", extra="train")


def teach(arguments: argparse.Namespace) -> int:
    """Find joints, train, export and try the model. The first step that fails ends the program."""
    clips, run = arguments.out / "clips", arguments.out / "run"
    bundle = arguments.out / f"{arguments.out.resolve().name}.bhar"
    if arguments.videos.resolve() in (arguments.out.resolve(), clips.resolve(), run.resolve()):
        raise UsageError(f"out: got {arguments.out}, which holds the videos, expected another")
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
    """Find the joints in each video. The pictures are not needed afterwards."""
    print("1. Joints: MediaPipe finds body and hands in every frame of every video")
    files = [path for path in videos.glob("*/*") if not path.name.startswith(".")]
    sessions = [path for path in files if path.suffix == SUFFIX]
    for path in sessions:  # they hold joints already
        folder = clips / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)
    if sessions and len(sessions) == len(files):
        return 0
    many = [] if jobs is None else ["--jobs", str(jobs)]
    return _do("bhar-train", "extract", str(videos), "--out", str(clips), *many)


def train(clips: Path, run: Path, arguments: argparse.Namespace) -> int:
    """Train on nine tenths of the clips, and test on the others after each epoch."""
    print("\n2. Training: a graph network on windows of joints, moved and stretched at random")
    command = ["fit", "--model", arguments.model, "--data", str(clips), "--out", str(run)]
    command += ["--epochs", str(arguments.epochs)]
    if arguments.draws is not None:
        command += ["--draws", str(arguments.draws)]
    if not (clips / NOTHING).is_dir():
        print(f"   no folder {NOTHING!r}: parts of gestures show the model what is no gesture")
        command += ["--add-background"]
    if (run / "checkpoint").is_dir():
        command += ["--resume"]
    return _do("bhar-train", *command)


def export(run: Path, clips: Path, bundle: Path, *, int8: bool) -> int:
    """Write the bundle. It holds test clips with the results that each machine must reproduce."""
    print("\n3. Export: for the backends native and onnx; both must compute what torch computes")
    ranges = ["--int8", "--calib", str(clips)] if int8 else []
    return _do("bhar-export", str(run), "--target", "native", *ranges, "--output", str(bundle))


def look(bundle: Path, clips: Path) -> int:
    """Recognize one clip of each label, frame by frame, as from a camera."""
    print("\n4. Recognizing: one clip of each label. The model was trained on them, so this shows")
    print("   only that the chain works. To measure accuracy, take clips of other people:")
    print("   bhar-train eval")
    recognizer = Recognizer(bundle)
    print(f"   {recognizer.backend}")
    for folder in sorted(path for path in clips.iterdir() if path.is_dir()):
        clip = min(folder.glob(f"*{SUFFIX}"))
        found = [f"{event.label} {event.score:.2f}" for event in recognizer.recognize_clip(clip)]
        print(f"   {folder.name:<12} -> {', '.join(found) or 'no event'}")
    return 0


def _do(command: str, *arguments: str) -> int:
    """Print a command, run it, and return its exit code."""
    print(f"   {command} {' '.join(arguments)}", flush=True)
    program = [sys.executable, "-m", COMMANDS[command]]
    return subprocess.run([*program, *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
