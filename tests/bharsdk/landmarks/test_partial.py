"""Bodies and hands of which single joints were found, and bodies of another skeleton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer, load_session, open_source, save_session
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError
from bharsdk.files.untrusted import parse_json
from bharsdk.landmarks.activity import activity_of
from bharsdk.landmarks.box import Box
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import SKELETONS, Landmarks, LandmarkSequence
from bharsdk.landmarks.motion import movement
from bharsdk.landmarks.skeleton import COCO17, MEDIAPIPE_BODY25, MEDIAPIPE_HAND21, joint_mapping
from bharsdk.landmarks.tracking import place_of
from bharsdk.recognition.features import extract
from bharsdk.recordings.recorder import SessionRecorder
from bharsdk.recordings.session import Session

RNG = np.random.default_rng(25)
COCO = (COCO17.name, SKELETONS[1])
CONFIG = FeatureConfig()
ELBOW, LEFT_WRIST, INDEX_TIP = 13, 15, 8


def _clip(frames: int = 61) -> LandmarkSequence:
    step = np.arange(frames)[:, None, None]
    body = 0.5 + RNG.uniform(-0.2, 0.2, (33, 4)) + step * RNG.uniform(-0.001, 0.001, (33, 4))
    body[:, 11, :2], body[:, 12, :2] = (0.6, 0.4), (0.4, 0.4)
    body[:, 23, :2], body[:, 24, :2] = (0.56, 0.8), (0.44, 0.8)
    body[..., 3] = 0.9
    hands = 0.5 + RNG.uniform(-0.1, 0.1, (2, 21, 3)) + step[..., None] * 0.001
    return LandmarkSequence(
        np.arange(frames) * 1000 / 30, body.astype(np.float32), hands.astype(np.float32)
    )


def _without(clip: LandmarkSequence, frames: slice, joint: int, hand: int | None = None):
    body, hands = clip.body.copy(), clip.hands.copy()
    if hand is None:
        body[frames, joint] = np.nan
    else:
        hands[frames, hand, joint] = np.nan
    return clip.replaced(body=body, hands=hands)


def _coco(clip: LandmarkSequence) -> LandmarkSequence:
    """The same person as COCO's joints."""
    names = MEDIAPIPE_BODY25.joints
    known = [names.index(joint) if joint in names else 25 for joint in COCO17.joints]
    return LandmarkSequence(
        clip.timestamps_ms, clip.body[:, known], np.full_like(clip.hands, np.nan), 16 / 9, COCO
    )


def test_a_missing_joint_is_zero_with_presence_zero_and_changes_no_other_body_joint():
    clip = _clip()
    whole, partly = extract(clip, CONFIG), extract(_without(clip, slice(None), ELBOW), CONFIG)
    assert not partly.body[:, :, ELBOW].any()
    bones_of_it = [ELBOW, *(c for c, p in MEDIAPIPE_BODY25.bones if p == ELBOW)]
    others = [j for j in range(25) if j not in bones_of_it]
    np.testing.assert_array_equal(partly.body[:, :, others], whole.body[:, :, others])
    wrist = partly.body[:, :, LEFT_WRIST, 0], whole.body[:, :, LEFT_WRIST, 0]
    np.testing.assert_array_equal(wrist[0][:3], wrist[1][:3])
    assert not wrist[0][3:6].any(), "the bone from the elbow needs the elbow"
    assert np.isfinite(partly.hands).all()


def test_features_of_a_partly_seen_hand_are_those_of_float64():
    clip = _clip()
    lost = _without(clip, slice(None), INDEX_TIP, hand=1)
    got = extract(lost, CONFIG).hands[:, :, :, 1].astype(np.float64)
    wanted_ms = clip.timestamps_ms[-1] + (np.arange(CONFIG.frames) - CONFIG.frames + 1) * (
        1000 / CONFIG.fps
    )
    wanted_ms = np.clip(wanted_ms, 0, None)
    hand = lost.hands[:, 1].astype(np.float64) * (clip.aspect, 1.0, clip.aspect)
    there = [j for j in range(21) if j != INDEX_TIP]
    points = np.zeros((len(wanted_ms), 21, 3))
    for joint in there:
        for axis in range(3):
            points[:, joint, axis] = np.interp(wanted_ms, clip.timestamps_ms, hand[:, joint, axis])
    points[:, there] -= points[:, :1].copy()
    bones = [
        np.linalg.norm(points[:, c] - points[:, p], axis=1)
        for c, p in MEDIAPIPE_HAND21.bones
        if INDEX_TIP not in (c, p)
    ]
    points /= np.median(np.mean(bones, axis=0)) * 4
    np.testing.assert_allclose(got[:3], points.transpose(2, 0, 1), atol=2e-4)


def test_a_joint_that_is_missing_for_a_moment_is_bridged_as_a_body_is():
    clip = _clip()
    moment = _without(clip, slice(30, 32), ELBOW)
    np.testing.assert_allclose(extract(moment, CONFIG).body, extract(clip, CONFIG).body, atol=2e-3)


@pytest.mark.parametrize("joint", [11, 12])
def test_a_body_without_a_shoulder_counts_as_not_detected(joint: int):
    lost = _without(_clip(), slice(None), joint)
    assert next(lost.frames()).has_body
    assert not extract(lost, CONFIG).body.any()
    assert not activity_of(lost).person.any()


def test_movement_of_a_partly_seen_person_is_that_of_the_joints_that_were_found():
    clip = _clip()
    wrists = _without(clip, slice(None), LEFT_WRIST)
    assert movement(clip, 0.0) >= movement(wrists, 0.0) > 0
    blinking = _without(clip, slice(None, None, 2), INDEX_TIP, hand=0)
    assert movement(blinking, 0.0) == pytest.approx(movement(clip, 0.0), rel=0.2)


def test_who_is_where_does_not_need_the_hips():
    one = next(_clip().frames())
    body = one.body.copy()
    body[[23, 24]] = np.nan
    hidden = Landmarks(0.0, body, np.full_like(one.hands, np.nan), one.aspect)
    place, whole = place_of(hidden), place_of(one)
    assert place is not None
    assert whole is not None
    assert place.x == pytest.approx(whole.x)
    assert 0.5 < place.size / whole.size < 2
    assert Box.around(hidden) is not None


def test_coco_is_mapped_to_the_joints_that_it_shares_with_mediapipe():
    clip = _clip()
    mapped = _coco(clip).mapped()
    shared = [j for j, name in enumerate(MEDIAPIPE_BODY25.joints) if name in COCO17.joints]
    assert len(shared) == 13
    np.testing.assert_array_equal(mapped.body[:, shared], clip.body[:, shared])
    assert np.isnan(np.delete(mapped.body, shared, axis=1)).all()
    assert mapped.skeletons == SKELETONS
    assert joint_mapping(MEDIAPIPE_BODY25.name, COCO17.name) is None


def test_a_stream_takes_a_mapped_skeleton_and_gives_what_the_mapped_landmarks_give():
    recognizer = Recognizer("asl-coffee-prgcn", backend="native", min_keypoint_score=0.0)
    coco = _coco(_clip(90))
    direct, mapped = recognizer.stream(), recognizer.stream()
    for frame in coco.frames():
        assert direct.push(frame) == mapped.push(frame.mapped())
    assert direct.probabilities is not None
    np.testing.assert_array_equal(direct.probabilities, mapped.probabilities)


def test_a_skeleton_without_a_mapping_is_refused_with_what_was_expected():
    stream = Recognizer("asl-coffee-prgcn", backend="native").stream()
    body = np.full((25, 4), 0.5, np.float32)
    with pytest.raises(InputError, match="got joints of ntu25, expected mediapipe_body25"):
        stream.push(Landmarks.of_body(0.0, body, "ntu25"))
    stream.push(Landmarks.empty(0.0))  # the state is as before
    with pytest.raises(InputError, match=r"expected float32 \[17, 4\]"):
        Landmarks.of_body(0.0, body, "coco17")
    with pytest.raises(InputError, match="skeleton: got 'coco'"):
        Landmarks.of_body(0.0, body, "coco")


def test_a_session_of_another_skeleton_keeps_it_and_one_of_mediapipe_names_none(tmp_path: Path):
    import zipfile

    for clip in (_coco(_clip(5)), _without(_clip(5), slice(2), ELBOW)):
        path = save_session(tmp_path / "a.bhar-session", Session(clip))
        again = load_session(path).sequence
        assert again.skeletons == clip.skeletons
        np.testing.assert_array_equal(again.body, clip.body)
        with zipfile.ZipFile(path) as archive:
            header = parse_json(archive.read("session.json"), "header")
        assert isinstance(header, dict)
        assert header.get("skeletons") == (list(COCO) if clip.skeletons == COCO else None)
        assert header["format_version"] == (3 if clip.skeletons == COCO else 1)


def test_a_recording_of_another_skeleton_reads_whole_and_when_it_was_cut_off(tmp_path: Path):
    clip, path = _coco(_clip(6)), tmp_path / "a.bhar-session"
    recorder = SessionRecorder(path)
    recorder.add(Frame(0.0, ()), ())
    for number, one in enumerate(clip.frames()):
        recorder.add(Frame.of(one, number).at(1.0 + one.timestamp_ms, number), ())
    with pytest.raises(InputError, match="one pair of skeletons"):
        recorder.add(Frame.of(next(_clip(1).frames())).at(9e3, 9), ())
    cut_off = load_session(recorder.journal_path).sequence
    recorder.close()
    for sequence in (cut_off, load_session(path).sequence):
        assert sequence.skeletons == COCO
        np.testing.assert_array_equal(sequence.body[1:], clip.body)


@pytest.mark.parametrize("names", [["x", "y"], ["coco17"], "coco17", [1, 2]])
def test_a_file_that_names_skeletons_that_are_none_is_refused(tmp_path: Path, names: object):
    import json
    import zipfile

    path = save_session(tmp_path / "a.bhar-session", Session(_coco(_clip(5))))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["session.json"] = json.dumps(
        json.loads(members["session.json"]) | {"skeletons": names}
    ).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match="skeleton"):
        load_session(path)


def test_a_landmarker_of_another_skeleton_runs_and_is_drawn():
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    from bharsdk import draw_landmarks

    coco = _coco(_clip(90))

    class Coco:
        """Finds nobody at first."""

        def __init__(self) -> None:
            self._frames = iter(coco.frames())

        def detect(self, image: object, timestamp_ms: float) -> tuple[Landmarks, ...]:
            body = next(self._frames).body
            return (Landmarks.of_body(timestamp_ms, body, COCO17.name),) if timestamp_ms else ()

        def close(self) -> None: ...

    pictures = [(np.zeros((90, 160, 3), np.uint8), 33.0 * number) for number in range(90)]
    recognizer = Recognizer("asl-coffee-prgcn", backend="native", max_persons=2)
    assert len(list(recognizer.run(pictures, landmarker=Coco()))) >= 90
    with open_source(pictures, Coco()) as source:
        found = LandmarkSequence.from_frames(frame.landmarks for frame in source)
    assert found.skeletons == COCO
    canvas = np.zeros((90, 160, 3), np.uint8)
    draw_landmarks(canvas, next(coco.frames()))
    assert canvas.any()


def test_landmarks_of_hands_alone_and_what_the_flat_layout_cannot_hold():
    hands = next(_clip().frames()).hands
    alone = Landmarks.of_hands(0.0, hands)
    assert alone.is_seen
    assert not alone.has_body
    with pytest.raises(InputError, match="save a session"):
        _without(_clip(), slice(2), ELBOW).to_flat()
    mirrored = _coco(_clip()).mirrored()
    np.testing.assert_allclose(mirrored.mirrored().body, _coco_again(mirrored), atol=1e-6)


def _coco_again(mirrored: LandmarkSequence) -> np.ndarray:
    body = mirrored.body[:, COCO17.mirror].copy()
    body[..., 0] = 1 - body[..., 0]
    return body
