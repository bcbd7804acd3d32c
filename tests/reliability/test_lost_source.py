"""Cameras that go away and come back."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cameras.address import CameraKind, parse_address
from bharsdk.cameras.given_pictures import ReconnectingPictures
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.cameras.source_config import Backpressure, SourceConfig
from bharsdk.errors import SourceError, UsageError
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.pipeline.status import RunState, Status
from bharsdk.sources.opening import open_source

from .conftest import KnownLandmarker, NumberedPictures, picture_of

STEP_MS = 1000 / 15
QUICK = SourceConfig(Backpressure.WAIT, retry_s=0.0005, max_retry_s=0.001)


class Flaky(NumberedPictures):
    """A camera that delivers ``count`` pictures from ``first`` on and is lost then."""

    def __init__(self, first: int, count: int) -> None:
        super().__init__([(first + i) * STEP_MS for i in range(count)], is_live=True)
        self._first = first

    def __iter__(self) -> Iterator[CapturedImage]:
        for i, time_ms in enumerate(self._times_ms):
            yield CapturedImage(picture_of(self._first + i), time_ms)
        raise SourceError("camera: stopped delivering pictures")


def test_a_source_lost_and_back_100_times_goes_on_with_every_frame_it_gave(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """Three frames, lost, one failing attempt to open, back: a hundred times."""
    opened: list[Flaky] = []
    attempts = 0
    said: list[Status] = []

    def open_again() -> Flaky:
        nonlocal attempts
        attempts += 1
        if attempts % 2 == 0:
            raise SourceError("camera: cannot be opened")
        if len(opened) == 101:
            raise KeyboardInterrupt
        opened.append(Flaky(3 * len(opened), 3))
        return opened[-1]

    pictures = ReconnectingPictures(
        open_again, QUICK, on_lost=lambda error: said.append(Status(RunState.RECONNECTING))
    )
    frames = []
    with recognizer.run(pictures, landmarker=KnownLandmarker(waving), config=QUICK) as run:
        for result in run:
            frames.append(result.timestamp_ms)
            if len(frames) == 303:
                break
    assert frames == [pytest.approx(i * STEP_MS) for i in range(303)]
    assert len(said) >= 100
    assert [camera.closed for camera in opened[:100]] == [1] * 100
    counts = run.counts
    assert counts.pending == 0


def test_a_source_that_stays_away_ends_the_run_after_the_time_given(
    recognizer: Recognizer, waving: LandmarkSequence
):
    cameras = iter([Flaky(0, 5)])

    def open_again() -> Flaky:
        camera = next(cameras, None)
        if camera is None:
            raise SourceError("camera: cannot be opened")
        return camera

    config = SourceConfig(Backpressure.WAIT, reconnect_for_s=0.05, retry_s=0.001, max_retry_s=0.01)
    pictures = ReconnectingPictures(open_again, config)
    results = []
    run = recognizer.run(pictures, landmarker=KnownLandmarker(waving), config=config)
    with run, pytest.raises(SourceError, match="cannot be opened"):
        results.extend(run)
    assert [r.frame_number for r in results if not r.is_final] == list(range(5))
    assert run.status.state is RunState.ERROR


def test_a_camera_that_is_not_there_at_the_start_is_an_error_at_once():
    def fails() -> NumberedPictures:
        raise SourceError("camera: cannot be opened")

    with pytest.raises(SourceError):
        ReconnectingPictures(fails, SourceConfig(reconnect_for_s=1e9))


def test_closing_while_the_source_is_away_returns_promptly(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """A pause of a minute between two attempts does not hold up the end."""
    config = SourceConfig(Backpressure.WAIT, retry_s=60, max_retry_s=60, reconnect_for_s=600)
    pictures = ReconnectingPictures(lambda: Flaky(0, 2), config)
    said: list[Status] = []
    with recognizer.run(
        pictures, landmarker=KnownLandmarker(waving), config=config, on_status=said.append
    ) as run:
        next(run), next(run)
    assert run.status.state is RunState.ENDED


class _Streamer(http.server.BaseHTTPRequestHandler):
    """A network camera: three JPEG pictures a connection, then it hangs up."""

    connections = 0

    def do_GET(self) -> None:
        import cv2

        type(self).connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(3):
            picture = np.full((48, 64, 3), 40 * number, np.uint8)
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            self.wfile.write(
                b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                + data
                + b"\r\n"
            )
            time.sleep(0.01)

    def log_message(self, *_: object) -> None: ...


def test_a_real_network_camera_that_hangs_up_is_opened_again(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """OpenCV, FFmpeg and a socket: what a network camera is, but for the camera."""
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Streamer)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    said: list[Status] = []
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/cam.mjpg"
        config = SourceConfig(Backpressure.WAIT, retry_s=0.01, max_retry_s=0.1)
        with recognizer.run(
            address, landmarker=KnownLandmarker(waving), config=config, on_status=said.append
        ) as run:
            assert run.is_live
            times = [next(run).timestamp_ms for _ in range(7)]
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
    assert times == sorted(set(times))
    assert _Streamer.connections >= 3
    assert RunState.RECONNECTING in [status.state for status in said]


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("0", CameraKind.NUMBER, 0),
        ("v4l2://2", CameraKind.NUMBER, 2),
        ("v4l2:///dev/video0", CameraKind.DEVICE, "/dev/video0"),
        ("/dev/video0", CameraKind.DEVICE, "/dev/video0"),
        ("rtsp://me:secret@10.0.0.9:554/a", CameraKind.NETWORK, "rtsp://me:secret@10.0.0.9:554/a"),
    ],
)
def test_an_address_names_its_camera_and_no_password(
    text: str, kind: CameraKind, target: int | str
):
    address = parse_address(text)
    assert (address.kind, address.target) == (kind, target)  # type: ignore[union-attr]
    assert "secret" not in address.name  # type: ignore[union-attr]


def test_a_csi_camera_is_a_pipeline_of_a_jetson():
    address = parse_address("csi://1?width=640&height=480&fps=60")
    assert address.kind is CameraKind.CSI  # type: ignore[union-attr]
    text = str(address.target)  # type: ignore[union-attr]
    assert "sensor-id=1 " in text
    assert "width=640,height=480,framerate=60/1" in text


@pytest.mark.parametrize("text", ["gopher://x", "csi://x", "csi://0?gain=2", "v4l2://video0"])
def test_an_address_that_means_nothing_is_a_usage_error(text: str):
    with pytest.raises(UsageError, match="expected"):
        parse_address(text)


def test_a_file_address_is_a_path(recording: LandmarkSequence, tmp_path: object):
    from pathlib import Path

    from bharsdk.recordings.session import Session
    from bharsdk.recordings.session_file import save_session

    path = save_session(Path(str(tmp_path)) / "with a space.bhar-session", Session(recording))
    with open_source(path.as_uri()) as source:
        assert source.frame_count == len(recording)
