"""``bhar enroll``: gestures of one's own in a bundle, from a few clips of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bharsdk.cli.arguments import AUTO, BACKEND, BUNDLE, open_recognizer
from bharsdk.cli.command import Command
from bharsdk.cli.landmarker_option import LandmarkerName
from bharsdk.errors import UsageError
from bharsdk.files.outputs import is_same_file
from bharsdk.values.declared import Cli, Help, Use

if TYPE_CHECKING:
    from bharsdk.gestures.enroll import Enrolled

__all__ = ["ENROLL", "Enroll"]


@dataclass(frozen=True)
class Enroll:
    """The options of ``bhar enroll``."""

    # It may be written over: it is read whole, and replaced in one step.
    bundle: Annotated[str, BUNDLE, Cli(names=("bundle",), file=Use.UPDATE)]
    label: Annotated[
        str | None, Help("what to call the gesture"), Cli(names=("label",), metavar="LABEL")
    ] = None
    clips: Annotated[
        tuple[str, ...],
        Help(
            "videos or sessions (bhar record), each showing it once, by one person, in at most"
            " 10 s; w.mp4@1.5-3.0 is the part of w.mp4 from 1.5 to 3 s"
        ),
        Cli(names=("clips",), metavar="CLIP", file=Use.READ),
    ] = ()
    output: Annotated[
        Path | None,
        Help("where to write the bundle"),
        Cli(metavar="NEW.bhar", file=Use.WRITE, default="over BUNDLE itself, if given by path"),
    ] = None
    known: Annotated[
        bool,
        Help(
            "LABEL is one of the model's: show how you make it, so that a gesture much like it is"
            " told from it; until then, what the model takes for LABEL mostly stays that"
        ),
    ] = False
    remove: Annotated[str | None, Help("forget this gesture"), Cli(metavar="LABEL")] = None
    list: Annotated[bool, Help("name the gestures that it has")] = False
    backend: Annotated[
        str,
        Help("what looks at the clips: native or onnx"),
        BACKEND,
    ] = AUTO
    landmarker: LandmarkerName = None


def _enroll(arguments: Enroll) -> int:
    asked = [arguments.label is not None, arguments.remove is not None, arguments.list]
    if sum(asked) != 1:
        raise UsageError("enroll: expected LABEL CLIP CLIP CLIP, or one of --remove and --list")
    output = None if arguments.list else _output(arguments)
    recognizer = open_recognizer(arguments.bundle, arguments.backend)
    if output is None:
        for gesture in recognizer.gestures:
            print(f"{gesture.label:<20} {gesture.clips} clips{_much_like(gesture)}")
        return 0
    if arguments.remove is not None:
        recognizer.remove(arguments.remove)
        said = f"{arguments.remove} removed"
    else:
        assert arguments.label is not None  # or it is no enrolling, see above
        found = recognizer.enroll(
            arguments.label,
            arguments.clips,
            known=arguments.known,
            landmarker=arguments.landmarker,
        )
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


def _output(arguments: Enroll) -> Path:
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


ENROLL = Command(Enroll, _enroll)
