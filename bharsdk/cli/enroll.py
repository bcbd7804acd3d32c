"""``bhar enroll``: gestures of one's own in a bundle, from a few clips of each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bharsdk.cli.arguments import AUTO, DEVICES, AddCommand
from bharsdk.cli.names import some_text
from bharsdk.errors import UsageError
from bharsdk.files.outputs import declare_files, is_same_file

if TYPE_CHECKING:
    from bharsdk.gestures.enroll import Enrolled

__all__ = ["add_parser"]


def add_parser(command: AddCommand) -> None:
    """Add the command."""
    does = "teach a bundle a gesture from 3 to 5 clips, on the device; list and remove gestures"
    parser = command("enroll", does, _enroll)
    parser.add_argument(
        "bundle", type=some_text, help="path of a bundle, or the name of a shipped one"
    )
    parser.add_argument("label", nargs="?", metavar="LABEL", help="what to call the gesture")
    parser.add_argument(
        "clips",
        nargs="*",
        metavar="CLIP",
        help="videos or sessions (bhar record), each showing it once, by one person, in at"
        " most 10 s; w.mp4@1.5-3.0 is the part of w.mp4 from 1.5 to 3 s",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="NEW.bhar",
        help="where to write the bundle; default: over BUNDLE itself, if that was given by path",
    )
    parser.add_argument(
        "--known",
        action="store_true",
        help="LABEL is one of the model's: show how you make it, so that a gesture much like it is"
        " told from it; until then, what the model takes for LABEL mostly stays that",
    )
    parser.add_argument("--remove", metavar="LABEL", help="forget this gesture")
    parser.add_argument("--list", action="store_true", help="name the gestures that it has")
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=AUTO,
        help="what looks at the clips, native or onnx; default: the fastest",
    )
    # The bundle may be written over: it is read whole, and replaced in one step.
    declare_files(parser, reads=("clips",), writes=("output",), updates=("bundle",))


def _enroll(arguments: argparse.Namespace) -> int:
    from bharsdk.recognizer import Recognizer

    asked = [arguments.label is not None, arguments.remove is not None, arguments.list]
    if sum(asked) != 1:
        raise UsageError("enroll: expected LABEL CLIP CLIP CLIP, or one of --remove and --list")
    output = None if arguments.list else _output(arguments)
    recognizer = Recognizer(arguments.bundle, device=arguments.device)
    if output is None:
        for gesture in recognizer.gestures:
            print(f"{gesture.label:<20} {gesture.clips} clips{_much_like(gesture)}")
        return 0
    if arguments.remove is not None:
        recognizer.remove(arguments.remove)
        said = f"{arguments.remove} removed"
    else:
        found = recognizer.enroll(arguments.label, arguments.clips, known=arguments.known)
        said = f"{found.label} enrolled from {found.clips} clips{_much_like(found)}"
        if found.unlike:
            said += f"; unlike the others, look at it: {', '.join(found.unlike)}"
    recognizer.save(output)
    print(f"{output}: {said}")
    return 0


def _much_like(gesture: Enrolled) -> str:
    if not gesture.alike:
        return ""
    alike = ", ".join(gesture.alike)
    return f"; much like {alike}, which goes first until you show it too, with --known"


def _output(arguments: argparse.Namespace) -> Path:
    """Where the bundle goes. What ships is never written over."""
    from bharsdk.recognizer import bundle_path, shipped_bundles

    path = bundle_path(arguments.bundle) if arguments.output is None else Path(arguments.output)
    if any(is_same_file(path, shipped) for shipped in shipped_bundles().values()):
        raise UsageError(
            f"enroll: got the shipped model {path.stem} to write over, which stays as it is;"
            " expected where to write the one with the gesture: --output NEW.bhar"
        )
    if path.is_dir():
        raise UsageError(f"enroll: {path} is a folder, expected --output NEW.bhar")
    return path
