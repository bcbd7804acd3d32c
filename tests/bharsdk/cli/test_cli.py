from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cli import main
from bharsdk.events import EventPhase
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session

VIDEO = Path(__file__).parents[3] / "examples" / "data" / "videos" / "yo_001.mp4"


@pytest.fixture
def session(recording: LandmarkSequence, tmp_path: Path) -> Path:
    return save_session(tmp_path / "real.bhar-session", Session(recording))


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _fails(capfd: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    """Run, expect exit ``code`` and exactly one line on stderr; that line."""
    assert main([str(argument) for argument in arguments]) == code
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("bhar: error: ")
    return lines[0]


def test_run_prints_events_and_what_each_stage_took(
    session: Path, presence_bundle: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["run", str(session), "--model", str(presence_bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = [line.split()[0] for line in lines]
    found = [e for r in Recognizer(presence_bundle).run(session) for e in r.events]
    assert [w for w in words if w in {"start", "end"}] == [e.phase.value for e in found]
    assert "200 frames" in lines
    assert words[-6:] == ["capture", "landmarks", "features", "action", "decode", "ours,"]


def test_json_is_one_object_a_line_with_the_same_events(
    session: Path, presence_bundle: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["run", str(session), "--model", str(presence_bundle), "--json"]) == 0
    *events, summary = map(json.loads, capsys.readouterr().out.splitlines())
    ends = [e.to_dict() for e in Recognizer(presence_bundle).recognize_clip(session)]
    assert [e for e in events if e["phase"] == EventPhase.END.value] == ends
    assert summary["summary"]["frames"] == 200


def test_rules_over_time_can_be_given_in_place_of_the_bundles(
    session: Path, presence_bundle: Path, capsys: pytest.CaptureFixture[str]
):
    """Each alone; the others stay those of the bundle."""
    from dataclasses import replace

    own = Recognizer(presence_bundle).bundle.manifest.decoder
    arguments = ["run", str(session), "--model", str(presence_bundle), "--json"]
    assert main([*arguments, "--min-duration", "0.5", "--hop", "0.2"]) == 0
    *events, _ = map(json.loads, capsys.readouterr().out.splitlines())
    changed = replace(own, min_duration_s=0.5, hop_s=0.2)
    expected = Recognizer(presence_bundle, decoder=changed).recognize_clip(session)
    ends = [e for e in events if e["phase"] == EventPhase.END.value]
    assert ends == [e.to_dict() for e in expected]
    assert ends != [e.to_dict() for e in Recognizer(presence_bundle).recognize_clip(session)]


def test_labels_that_may_make_no_event_make_none(
    session: Path, presence_bundle: Path, capsys: pytest.CaptureFixture[str]
):
    """The others still do; an unknown one is bad input that names those there are."""
    arguments = ["run", str(session), "--model", str(presence_bundle), "--json"]
    assert main([*arguments, "--label-denylist", "left"]) == 0
    *events, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert {event["label"] for event in events} == {"right"}
    assert main([*arguments, "--label-denylist", "up"]) == 3
    assert "--label-denylist: got 'up', expected some of -, left" in capsys.readouterr().err


WITH_MINE = """
import sys, types
from bharsdk.landmarkers.registry import LANDMARKERS, LandmarkerEntry
class Mine:
    def detect(self, image, timestamp_ms):
        return []
    def close(self):
        print("closed")
def open_one(max_persons):
    print("opened", max_persons)
    return Mine()
sys.modules["mine"] = module = types.ModuleType("mine")
module.open_one = open_one
LANDMARKERS["mine"] = LandmarkerEntry("mine", "finds nobody", "mine", max_persons=2)
from bharsdk.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_landmarker_is_opened_by_its_name_and_closed(presence_bundle: Path):
    """For as many people as are followed; in run, record and enroll."""
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    line = ["run", str(VIDEO), "--model", str(presence_bundle), "--landmarker", "mine"]
    command = [sys.executable, "-c", WITH_MINE, *line, "--max-persons", "2"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 3 and "no person found" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "opened 2"
    assert lines.count("closed") == 1
    for name in ("run", "record", "enroll"):
        command = [sys.executable, "-c", WITH_MINE, name, "--help"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "--landmarker NAME" in result.stdout


def test_max_frames_ends_a_source_as_its_own_end_does(
    session: Path, presence_bundle: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["run", str(session), "--model", str(presence_bundle), "--json"]
    assert main([*arguments, "--max-frames", "30"]) == 0
    *events, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert summary["summary"]["frames"] == 30
    phases = [e["phase"] for e in events]
    assert phases.count("start") == phases.count("end")


def test_save_writes_an_annotated_video(session: Path, presence_bundle: Path):
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    target = session.parent / "out" / "a.mp4"
    arguments = ["run", str(session), "--model", str(presence_bundle), "--save", str(target)]
    assert main(arguments) == 0
    capture = cv2.VideoCapture(str(target))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 200
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(15.0)
    assert _names(target.parent) == ["a.mp4"]


def test_a_real_video_goes_all_the_way(
    presence_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """MediaPipe, features, engine, decoder, annotated video: the signer shows a hand."""
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    target = tmp_path / "a.mp4"
    arguments = ["--model", str(presence_bundle), "--save", str(target), "--json"]
    assert main(["run", str(VIDEO), *arguments]) == 0
    *events, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert {e["label"] for e in events} <= {"left", "right"}
    assert events
    stages = summary["summary"]
    assert stages["frames"] == 55
    assert stages["landmarks_ms"] > stages["own_median_ms"]
    assert target.stat().st_size > 10_000


def test_a_missing_file_is_bad_input(
    presence_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    for name in ("gone.mp4", "gone.bhar-session"):
        arguments = ["run", tmp_path / name, "--model", presence_bundle]
        assert name in _fails(capfd, 3, *arguments, "--save", tmp_path / "a.mp4")
    assert _names(tmp_path) == []


def test_an_empty_and_a_truncated_video_are_bad_input(
    presence_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(VIDEO.read_bytes()[:300_000])
    for name in ("empty.mp4", "cut.mp4"):
        message = _fails(capfd, 3, "run", tmp_path / name, "--model", presence_bundle)
        assert name in message


def test_a_video_without_a_person_is_bad_input_and_leaves_no_output(
    presence_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    path, out = tmp_path / "gray.mp4", tmp_path / "out"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (160, 120))
    for _ in range(5):
        writer.write(np.full((120, 160, 3), 128, np.uint8))
    writer.release()
    arguments = ["run", path, "--model", presence_bundle, "--save", out / "a.mp4"]
    assert "no person found in 5 frames" in _fails(capfd, 3, *arguments)
    assert _names(out) == []


def test_a_camera_that_does_not_exist_is_a_source_error(
    presence_bundle: Path, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    assert "camera 97" in _fails(capfd, 9, "run", "97", "--model", presence_bundle)


def test_a_missing_extra_is_a_missing_back_end(
    presence_bundle: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("cv2", "mediapipe"):
        for loaded in [m for m in sys.modules if m.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "cv2", None)
    message = _fails(capfd, 8, "run", VIDEO, "--model", presence_bundle)
    assert "pip install 'bharsdk[camera]'" in message


def test_an_unknown_model_and_a_damaged_one_have_their_own_codes(
    session: Path, presence_bundle: Path, capfd: pytest.CaptureFixture[str]
):
    assert "no-such" in _fails(capfd, 3, "run", session, "--model", "no-such")
    damaged = session.parent / "damaged.bhar"
    data = bytearray(presence_bundle.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    assert "damaged.bhar" in _fails(capfd, 4, "run", session, "--model", damaged)
    assert "damaged.bhar" in _fails(capfd, 4, "inspect", damaged)


def test_save_under_another_suffix_is_a_usage_error(
    session: Path, presence_bundle: Path, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    arguments = ["run", session, "--model", presence_bundle, "--save", session.parent / "a.gif"]
    assert "a.gif" in _fails(capfd, 2, *arguments)


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "0", "--max-frames", "0"], ["x"]])
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str]):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_inspect_prints_the_manifest(presence_bundle: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(presence_bundle)]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["labels"] == ["-", "left", "right"]
    assert "model.onnx" in manifest["files"]


def test_models_lists_what_ships(capsys: pytest.CaptureFixture[str]):
    from bharsdk.recognizer import shipped_bundles

    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_bundles())


def test_help_documents_the_exit_codes(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "9  camera cannot be opened" in capsys.readouterr().out


def test_ctrl_c_ends_a_run_cleanly_with_its_video_closed(presence_bundle: Path, tmp_path: Path):
    """As a process, in the middle of a real video."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    target = tmp_path / "a.mp4"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "bharsdk.cli", "run", str(VIDEO)),
            *("--save", str(target), "--model", str(presence_bundle)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    # A video's header is there before its first picture.
    while not any(p.stat().st_size > 1024 for p in tmp_path.glob(".a.*.mp4")):
        assert time.monotonic() < deadline, "no picture was written"
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err == "bhar: interrupted before the end of the source\n"
    assert "frames" in out
    assert _names(tmp_path) == ["a.mp4"]
    assert cv2.VideoCapture(str(target)).read()[0]


def test_inspect_prints_the_card_of_a_shipped_model(capsys: pytest.CaptureFixture[str]):
    """A shipped model is inspected by its name, and its card says what it was tested on."""
    assert main(["inspect", "asl-coffee", "--card"]) == 0
    card = capsys.readouterr().out
    assert "top-1" in card
    assert "Strangers to the model, never seen in training: s2" in card


def test_verify_replays_the_golden_clips_on_every_back_end(capsys: pytest.CaptureFixture[str]):
    """Of a shipped model: a line for each, with how far off it is."""
    assert main(["verify", "asl-coffee-prgcn"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["onnx", "ok:"], ["native", "ok:"]]
    assert all("3 golden clips" in line for line in lines)


def test_verify_says_which_back_end_a_bundle_has_no_model_for(capfd: pytest.CaptureFixture[str]):
    message = _fails(capfd, 8, "verify", "asl-coffee-prgcn", "--backend", "tflite")
    assert "--target tflite" in message


def test_inspect_prints_what_the_exporter_measured(capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", "asl-letters", "--report"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluated_on"]


def test_startup_says_where_a_cold_start_goes(capsys: pytest.CaptureFixture[str]):
    assert main(["startup", "asl-coffee-prgcn", "--runs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    stages = ["process", "import", "load", "first", "total"]
    assert [line.split()[0] for line in lines[1:6]] == stages
    assert "native" in lines[6]


def test_startup_of_a_broken_bundle_is_an_error(tmp_path: Path):
    (tmp_path / "broken.bhar").write_bytes(b"PK")
    assert main(["startup", str(tmp_path / "broken.bhar"), "--runs", "1"]) == 4
