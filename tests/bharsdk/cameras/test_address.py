"""What text names which source, and that no message repeats what an address keeps secret."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bharsdk import Recognizer
from bharsdk.cameras.address import CameraAddress, CameraKind, parse_address
from bharsdk.cli import main
from bharsdk.errors import BharError, SourceError, UsageError
from bharsdk.gestures.enroll import read_clips
from bharsdk.sources.opening import open_source
from bharsdk.values.redaction import address_name, redacted

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "ftp")


def _all_text_of(error: BaseException) -> str:
    """What anybody could print of ``error``: message, repr, traceback and chain."""
    texts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), repr(seen.args)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


def _said_of(source: str | Path) -> str:
    """Everything that naming ``source`` can make anybody print."""
    try:
        found = parse_address(source)
    except BharError as error:
        return _all_text_of(error)
    assert isinstance(found, CameraAddress)
    return f"{found!r} {found} {found.name}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://10.0.0.9/cam", "rtsp://10.0.0.9/..."),
        ("RTSP://me:secret@10.0.0.9:554/a", "rtsp://10.0.0.9:554/..."),
        ("rtsp://me:sec@ret@cam.local", "rtsp://cam.local"),
        ("http://[fe80::1%eth0]:8080/video?token=secret", "http://[fe80::1%eth0]:8080/..."),
        ("rtsp://h:554/user=admin_password=secret_channel=1.sdp?real_stream", "rtsp://h:554/..."),
        ("https://kamera-küche.local/", "https://kamera-küche.local"),
    ],
)
def test_a_network_camera_is_named_by_scheme_host_and_port(text: str, shown: str):
    """Neither what is before the host nor what is behind it; the target stays whole."""
    address = parse_address(text)
    assert isinstance(address, CameraAddress)
    assert (address.kind, address.name, address.target) == (CameraKind.NETWORK, shown, text)
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://u:p/w@h", "an @ behind the host"),
        ("rtsp://u:p?w@h", "an @ behind the host"),
        ("http://u:p#w@h/x", "an @ behind the host"),
        ("rtsp://10.0.0.9:99999/cam", "a port outside 1 to 65535"),
        ("rtsp://10.0.0.9:0/cam", "a port outside 1 to 65535"),
        ("rtsp://10.0.0.9:" + "9" * 400, "a port outside 1 to 65535"),
        ("rtsp://10.0.0.9:http/cam", "a port that are none"),
        ("rtsp://[::1", "with brackets"),
        ("rtsp://[::1/cam", "with brackets"),
        ("http://", "without a host"),
        ("http:///cam", "without a host"),
        ("rtsp://me:secret@", "without a host"),
        ("rtsp://h/\x00", "control characters"),
        ("rtsp://h/\udcff", "control characters"),
        ("rtsp://h/" + "x" * 5000, "more than 4096 characters"),
        ("rtsp:h/cam", "rtsp: without //"),
        ("rtsp:/h/cam", "rtsp: without //"),
        ("me:secret@10.0.0.9/cam", "an address with its scheme"),
        ("rtmp://me:secret@h/live", "'rtmp://h/...', expected a camera number"),
        ("csi://" + "9" * 5000, "expected csi://0"),
        ("csi://0?width=" + "9" * 5000, "expected whole numbers up to"),
        ("9" * 30, "a camera number of 30 digits, expected 0 to 99"),
        ("9" * 5000, "a camera number of 5000 digits"),
        ("v4l2://" + "9" * 30, "a camera number of 30 digits"),
        ("200", "a camera number 200, expected 0 to 99, or a device: /dev/video100"),
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_an_address_that_cannot_be_one_is_a_usage_error_of_one_line(text: str, expected: str):
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "secret" not in _all_text_of(caught.value)


@pytest.mark.parametrize("number", [-1, 100, 10**30])
def test_a_number_that_is_no_camera_s_is_a_usage_error(number: int):
    """OpenCV would open another camera, or raise an error of its own."""
    with pytest.raises(UsageError, match="got a camera number"):
        open_source(number)


def test_a_path_made_of_an_address_is_refused_without_repeating_it():
    """A Path takes one of the two slashes away."""
    path = Path("rtsp://me:secret@10.0.0.9/cam")
    with pytest.raises(UsageError, match="got a Path where an address was meant") as caught:
        parse_address(path)
    assert "secret" not in _all_text_of(caught.value)


@pytest.mark.parametrize(
    "name", ["2026-11-30T12:30:05.mp4", "a:b@c.mp4", "http:cam.mp4", "x?y#z.mp4", "ü ä.mp4"]
)
def test_text_without_a_known_scheme_is_a_path_also_with_colons(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert parse_address(name) == Path(name)
    assert parse_address((tmp_path / name).as_uri()) == tmp_path / name


def test_a_file_whose_name_looks_like_an_unknown_scheme_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "take:").mkdir()
    (tmp_path / "take:" / "1.mp4").touch()
    monkeypatch.chdir(tmp_path)
    assert parse_address("take://1.mp4") == Path("take:/1.mp4")


def test_a_file_address_may_name_this_host():
    assert parse_address("file://localhost/home/me/a%20b.mp4") == Path("/home/me/a b.mp4")
    assert parse_address("file:///home/me/a?b#c.mp4") == Path("/home/me/a?b#c.mp4")


# Parts of at least six characters, which no message holds by accident.
PASSWORDS = st.builds(
    "".join,
    st.lists(
        st.one_of(
            st.just("Zq7xKw"),
            st.just("Jv4yPu"),
            st.sampled_from(list("/@:?#[]%&=+ '\"\\<>{}|^`~!$,;()ß€\u2100\t")),
        ),
        min_size=1,
        max_size=8,
    ),
).filter(lambda text: "Zq7xKw" in text or "Jv4yPu" in text)
FORMS = (
    "{scheme}://me:{secret}@cam.local:554/live",
    "{scheme}://{secret}@cam.local/live",
    "{scheme}://me:{secret}@[fe80::1]/",
    "{scheme}://me:{secret}@cam.local:99999",
    "{scheme}://cam.local/live?token={secret}",
    "{scheme}://cam.local/live?user=me&password={secret}#x",
    "{scheme}://cam.local/user=me_password={secret}_channel=1",
    "{scheme}://me:{secret}@",
    "{scheme}:/me:{secret}@cam.local",
)


@settings(max_examples=400, deadline=None)
@example("@\tJv4yPu", "{scheme}://cam.local/live?token={secret}", "rtsp", False)
@given(
    secret=PASSWORDS,
    form=st.sampled_from(FORMS),
    scheme=st.sampled_from([*SCHEMES, "RTSP", "gopher"]),
    is_encoded=st.booleans(),
)
def test_no_password_is_said_whatever_characters_it_has(
    secret: str, form: str, scheme: str, is_encoded: bool
):
    """In a name, a repr, a message, a traceback or a chain of errors, raw or percent-encoded."""
    text = form.format(scheme=scheme, secret=quote(secret, safe="") if is_encoded else secret)
    said = _said_of(text)
    said += address_name(text) if "://" in text else ""
    said += redacted(f"unrecognized arguments: {text}")
    said += redacted(f"{Path(text)}: no such file, expected one", is_ours=True)
    if not form.startswith("{scheme}:/m"):
        said += _said_of(Path(text))
    if any(sign in text.rpartition("@")[2] for sign in " '\"\t\n"):
        said = _said_of(text)  # inside a message nobody can tell where such an address ends
    assert "Zq7xKw" not in said
    assert "Jv4yPu" not in said


def test_a_message_keeps_what_is_no_address():
    text = "clip.mp4: got 3 pictures, see https://example.org/help, expected file:///a/b?c, csi://0"
    assert redacted(text) == redacted(text, is_ours=True) == text
    ours = "rtsp://h:1/...: cannot be opened, expected rtsp://USER:PASSWORD@HOST/..."
    assert redacted(ours, is_ours=True) == ours


SECRET_SOURCES = [
    "rtsp://me:Zq7xKw@127.0.0.1:1/live",
    "http://me:Zq7xKw@127.0.0.1:1/live?token=Zq7xKw",
    "rtsp://me:Zq7/xKw@127.0.0.1:1/live",
    "rtmp://me:Zq7xKw@127.0.0.1:1/live",
]


@pytest.mark.parametrize("source", SECRET_SOURCES)
def test_a_run_that_cannot_open_its_camera_says_no_password(
    source: str,
    presence_bundle: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
):
    """Neither message, status, log, OpenCV nor FFmpeg; nor a recording."""
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    said: list[str] = []
    recognizer = Recognizer(presence_bundle)
    with caplog.at_level(logging.DEBUG), pytest.raises((SourceError, UsageError)) as caught:
        recognizer.run(
            source,
            on_status=lambda status: said.append(f"{status} {status!r}"),
            record=tmp_path / "a.bhar-session",
        )
    with pytest.raises((SourceError, UsageError)) as enrolling:
        read_clips([source, f"{source}/2", f"{source}/3"])
    printed = capfd.readouterr()
    texts = [_all_text_of(caught.value), _all_text_of(enrolling.value), *said, caplog.text]
    texts += [printed.out, printed.err]
    assert not any(secret in text for text in texts for secret in ("Zq7", "xKw"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "9" * 30], 2, "30 digits, expected 0 to 99, or a device"),
        (["run", "rtsp://u:Zq7/xKw@h"], 2, "behind the host, expected rtsp://USER:PASSWORD@HOST/"),
        (["run", "rtsp://h:99999/Zq7xKw"], 2, "65535 in rtsp://..., expected rtsp://HOST:PORT/..."),
        (["run", "rtsp://[::1"], 2, "brackets or a port that are none, expected"),
        (["run", "rtsp://me:Zq7xKw@127.0.0.1:1/live"], 9, "rtsp://127.0.0.1:1/...: cannot be open"),
        (["replay", "rtsp://me:Zq7 xKw@h/live"], 3, "rtsp://h/..."),
    ],
)
def test_a_command_ends_in_one_line_and_its_code(
    arguments: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    assert main(arguments) == code
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("bhar: error: ")
    assert said in printed.err
    assert "Zq7" not in printed.err
    assert "xKw" not in printed.err


def test_an_address_too_many_on_the_command_line_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
):
    with pytest.raises(SystemExit) as ended:
        main(["run", "0", "rtsp://me:Zq7xKw@h/live"])
    assert ended.value.code == 2
    assert "got rtsp://h/..." in capsys.readouterr().err
