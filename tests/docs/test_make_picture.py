"""The picture of the README is what its script draws of a recorded sign."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "assets" / "thank-you.gif"


@pytest.fixture
def example() -> ModuleType:
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    pytest.importorskip("PIL", reason="needs the extra 'camera'")
    path = PICTURE.with_name("make_picture.py")
    spec = importlib.util.spec_from_file_location("picture", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_draws_the_picture_of_the_readme(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many frames of the same size; the same joints and labels, give or take rounding."""
    import numpy as np
    from PIL import Image, ImageChops

    assert example.main([str(tmp_path / "new" / "drawn.gif")]) == 0
    assert "36 frames" in capsys.readouterr().out
    with Image.open(tmp_path / "new" / "drawn.gif") as drawn, Image.open(PICTURE) as kept:
        assert drawn.size == kept.size
        assert drawn.n_frames == kept.n_frames
        for number in range(kept.n_frames):
            drawn.seek(number)
            kept.seek(number)
            difference = ImageChops.difference(drawn.convert("RGB"), kept.convert("RGB"))
            assert (np.asarray(difference) > 64).mean() < 0.01, number


def test_the_picture_says_the_sign_and_its_event(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written on the frames is what the recognizer found, and only after it found it."""
    from PIL import ImageDraw

    written: list[str] = []
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda self, at, text, *rest: written.append(text)
    )
    frames = example.draw(example.MODEL, example.SESSION, example.START_S, example.END_S)
    titles, lines = written[::2], written[1::2]
    assert len(frames) == len(titles) == len(lines)
    assert titles[0] == titles[-1] == "no sign"
    assert {title.split()[0] for title in titles} == {"no", "thank-you"}
    assert lines[0] == "57.33 s"
    assert lines[-1].startswith("event: thank-you, 57.49 s to 58.49 s, score ")


def test_the_picture_is_small_enough_for_a_page() -> None:
    """Under a megabyte."""
    assert 0 < PICTURE.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--session", "none.bhar-session"], 3),
        (["--start", "5", "--end", "5"], 2),
        (["--model", "none.bhar"], 3),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    example: ModuleType,
    arguments: list[str],
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the exit code of every command, and without a file."""
    assert example.main([str(tmp_path / "x.gif"), *arguments]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "x.gif").exists()
