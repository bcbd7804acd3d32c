"""How frames get from a source to whoever uses them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_FPS
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields
from bharsdk.values.declared import Cli, Help, Range, check_ranges

__all__ = ["DEFAULT_FPS", "Backpressure", "SourceConfig"]

DEFAULT_FPS = 30.0
"""Pictures a second of a folder of pictures, which says none itself."""


class Backpressure(enum.Enum):
    """Which frames are dropped when a stage is slower than the one before it."""

    LATEST = "latest"
    """All but the newest one. For live sources."""
    DROP_OLDEST = "drop_oldest"
    """The oldest of the few that wait."""
    WAIT = "wait"
    """None: the faster stage waits. For files, whose frames are all wanted."""


@dataclass(frozen=True)
class SourceConfig:
    """Say which frames are dropped, and how long a source is waited for. Times are in seconds.

    backpressure: None takes LATEST for live sources and WAIT for all others. slots: how many frames
    may wait, for DROP_OLDEST and WAIT. max_age_s: a frame that waited longer is dropped, unless the
    policy is WAIT; ``math.inf`` for none. reconnect_for_s: how long to try to get a lost live
    source back; 0 for an error at once, ``math.inf`` to try for ever. retry_s: the first pause
    between two attempts; each is twice the one before, up to max_retry_s. max_frames: the source
    ends after so many frames. folder_fps: pictures a second of a folder of pictures.
    wait_for_source_s: how long to wait at the start for a camera or file that is not there yet; 0
    for an error at once, ``math.inf`` to wait for ever.

    Raises InputError on a value out of range.
    """

    backpressure: Annotated[
        Backpressure | None,
        Help("which frames are dropped when they come too fast"),
        Cli(default="latest for cameras, wait for files"),
    ] = None
    slots: Annotated[
        int, Range(1, 1000, "frames"), Help("how many may wait, with drop_oldest and wait")
    ] = 4
    max_age_s: Annotated[
        float,
        Range(0, unit="seconds", above=True),
        Help("a frame that waited longer is dropped, unless --backpressure is wait; inf: none"),
    ] = 0.5
    reconnect_for_s: Annotated[
        float,
        Range(0, unit="seconds"),
        Help("how long to try to get a lost camera back; inf: for ever"),
    ] = 30.0
    retry_s: Annotated[
        float,
        Range(0, unit="seconds", above=True, below=True),
        Help("first pause between two attempts; each is twice the one before"),
    ] = 0.1
    max_retry_s: Annotated[
        float,
        Range(0, unit="seconds", above=True, below=True),
        Help("longest pause between two attempts"),
    ] = 5.0
    max_frames: Annotated[
        int | None, Range(1, unit="frames"), Help("stop after N frames"), Cli(default="all")
    ] = None
    folder_fps: Annotated[
        float,
        Range(0, MAX_FPS, "frames a second", above=True),
        Help("of a folder of pictures"),
        Cli(names=("--fps", "--folder-fps")),
    ] = DEFAULT_FPS
    wait_for_source_s: Annotated[
        float,
        Range(0, unit="seconds"),
        Help("how long to wait for a camera or file that is not there yet; inf: for ever"),
        Cli(names=("--wait", "--wait-for-source")),
    ] = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "source")
        check_ranges(self, "source")
        if self.retry_s > self.max_retry_s:
            raise InputError(
                f"source: got retry_s {self.retry_s} and max_retry_s {self.max_retry_s}, expected"
                " 0 < retry_s <= max_retry_s"
            )

    def __repr__(self) -> str:
        return brief_config(self)

    def policy(self, *, is_live: bool) -> Backpressure:
        """Return which frames are dropped for a live source, or for another one."""
        if self.backpressure is not None:
            return self.backpressure
        return Backpressure.LATEST if is_live else Backpressure.WAIT
