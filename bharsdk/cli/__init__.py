"""The command ``bhar``: run a model on a camera, a video or a session; look into bundles."""

from __future__ import annotations

from bharsdk.cli.entry import enter, preload

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bharsdk.cli.command import Program

__all__ = ["main", "program"]

EXIT_CODES = """\
exit codes:
  0  ok (a camera run ends with Ctrl-C)    5  incompatible version or device
  1  internal error                        6  accuracy gate failed
  2  usage                                 7  parity failed
  3  bad input data                        8  backend missing
  4  corrupt or untrusted model            9  camera cannot be opened, or source lost
  130  Ctrl-C or SIGTERM before the end of a file; what was written stays readable
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's). Returns the exit code."""
    return enter("bhar", lambda: _begin(argv))


def _begin(argv: Sequence[str] | None) -> Callable[[], int]:
    from bharsdk.cli.exit_codes import exit_code_of

    parsed = program().parse(argv)
    preload("bharsdk.recognizer")
    return lambda: exit_code_of(
        lambda: parsed.command.work(parsed.options), "bhar", arguments=parsed.files
    )


def program() -> Program:
    """Return its commands; they are imported one by one, when they are asked for."""
    from bharsdk import __version__
    from bharsdk.cli.command import Entry, Program

    does_record = "record the landmarks and events of a source: bhar run with a file"
    does_replay = "run a recorded session again, and compare its events with the recorded ones"
    does_verify = "replay a bundle's golden inputs on this machine, on every backend"
    does_build = "build the TensorRT engine of a bundle on this device, and keep it beside it"
    does_startup = "time a cold start: process, import, load, first decision (without landmarker)"
    does_enroll = "teach a bundle a gesture from 3 to 5 clips, on the device; list, remove gestures"
    return Program(
        "bhar",
        "Recognize body-and-hand actions from a camera, a video or a session.",
        EXIT_CODES,
        (
            Entry("run", "bharsdk.cli.run:RUN", "print the events in a source as they happen"),
            Entry("record", "bharsdk.cli.run:RECORD", does_record),
            Entry("replay", "bharsdk.cli.replay:REPLAY", does_replay),
            Entry("inspect", "bharsdk.cli.bundles:INSPECT", "print the manifest of a bundle"),
            Entry("verify", "bharsdk.cli.bundles:VERIFY", does_verify),
            Entry("build", "bharsdk.cli.bundles:BUILD", does_build),
            Entry("models", "bharsdk.cli.bundles:MODELS", "list the shipped models"),
            Entry("startup", "bharsdk.cli.startup:STARTUP", does_startup),
            Entry("enroll", "bharsdk.cli.enroll:ENROLL", does_enroll),
        ),
        __version__,
    )
