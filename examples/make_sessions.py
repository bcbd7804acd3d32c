"""Join recorded clips into sessions with known signs: examples/data/sessions.

    python examples/make_sessions.py WORDS.npz --signer s2 --out examples/data/sessions

WORDS.npz: ``landmarks`` float16 [clip, frame, 258], ``label``, ``signer``, ``block``. A sign
and a clip without a sign take turns. Every sign comes once before any comes twice. The same seed
gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bharsdk import (
    InputError,
    LandmarkSequence,
    Session,
    TrueEvent,
    exit_code_of,
    save_session,
)

FPS = 15.0
BACKGROUND = "-"
NOTE = (
    "Clips of signer {signer} of the traduttore recordings, one after another: a sign, a clip of no"
    " sign, a sign, and so on. Where two clips meet the person jumps from one pose to another,"
    " which no real stream does. The recordings carry no times; 15 frames a second is an estimate."
)
LICENSE = "MIT, (c) 2022 traduttore (repository traduttore/traduttore-model)"


def main() -> int:
    """Write the sessions; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", type=Path, help="words.npz")
    parser.add_argument("--signer", default="s2")
    parser.add_argument("--out", type=Path, default=Path("examples/data/sessions"))
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--signs", type=int, default=25, help="signs in each session")
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    return exit_code_of(lambda: write(arguments), "make_sessions")


def write(arguments: argparse.Namespace) -> None:
    """Write the sessions, and print the size of each."""
    for path in make_sessions(
        arguments.words,
        arguments.out,
        signer=arguments.signer,
        sessions=arguments.sessions,
        signs=arguments.signs,
        seed=arguments.seed,
    ):
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


def make_sessions(
    words: Path, out: Path, *, signer: str, sessions: int, signs: int, seed: int
) -> list[Path]:
    """Write ``sessions`` files with ``signs`` signs each, and return their paths.

    Uses no clip twice. Raises InputError when the signer has too few clips.
    """
    if not words.is_file():
        raise InputError(f"{words}: got no such file, expected words.npz")
    with np.load(words, allow_pickle=False) as data:
        mine = np.flatnonzero(data["signer"] == signer)
        labels, clips = data["label"][mine], data["landmarks"][mine]
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(labels))
    pools = {str(x): [int(i) for i in shuffled if labels[i] == x] for x in np.unique(labels)}
    vocabulary = sorted(set(pools) - {BACKGROUND})
    if not vocabulary:
        raise InputError(f"{words}: signer {signer} has too few clips: none of a sign")
    paths = []
    for number in range(sessions):
        rounds = [list(random.permutation(vocabulary)) for _ in range(-(-signs // len(vocabulary)))]
        order = [str(label) for part in rounds for label in part][:signs]
        string = [BACKGROUND] + [x for label in order for x in (label, BACKGROUND)]
        if any(string.count(label) > len(pools.get(label, [])) for label in set(string)):
            raise InputError(f"{words}: signer {signer} has too few clips for {sessions} sessions")
        chosen = [pools[label].pop() for label in string]
        session = _string_together(clips[chosen], string, signer)
        path = out / f"{signer}-{chr(ord('a') + number)}.bhar-session"
        paths.append(save_session(path, session, dtype=np.float16))
    return paths


def _string_together(clips: npt.NDArray[np.float16], labels: list[str], signer: str) -> Session:
    """Join clips [clip, frame, 258]; a sign lasts until the first frame of the next clip."""
    sequence = LandmarkSequence.from_flat(clips.reshape(-1, clips.shape[2]), fps=FPS)
    clip_ms = clips.shape[1] * 1000.0 / FPS
    truth = tuple(
        TrueEvent(label, i * clip_ms, (i + 1) * clip_ms)
        for i, label in enumerate(labels)
        if label != BACKGROUND
    )
    return Session(sequence, truth, NOTE.format(signer=signer), LICENSE)


if __name__ == "__main__":
    sys.exit(main())
