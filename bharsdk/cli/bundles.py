"""``bhar inspect``, ``verify``, ``build`` and ``models``: what is in a bundle, and is it right."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated

from bharsdk.cli.arguments import BACKEND, BUNDLE
from bharsdk.cli.command import Command
from bharsdk.cli.progress import ProgressLine
from bharsdk.errors import BackendMissingError
from bharsdk.values.declared import Cli, Help

__all__ = ["BUILD", "INSPECT", "MODELS", "VERIFY", "Build", "Inspect", "Models", "Verify"]

PLACE = Cli(names=("bundle",))


@dataclass(frozen=True)
class Inspect:
    """The options of ``bhar inspect``."""

    bundle: Annotated[str, BUNDLE, PLACE]
    card: Annotated[bool, Help("print the model card: data, accuracy, size, limits")] = False
    report: Annotated[bool, Help("print what the exporter measured, as JSON")] = False


@dataclass(frozen=True)
class Verify:
    """The options of ``bhar verify``."""

    bundle: Annotated[str, BUNDLE, PLACE]
    backend: Annotated[
        str | None,
        Help("check this one alone"),
        replace(BACKEND, default="each that the bundle has a model for"),
    ] = None


@dataclass(frozen=True)
class Build:
    """The options of ``bhar build``."""

    bundle: Annotated[str, Help("path of a bundle that was exported with --target jetson"), PLACE]


@dataclass(frozen=True)
class Models:
    """The options of ``bhar models``: none."""


def _inspect(arguments: Inspect) -> int:
    from bharsdk.bundle.bundle import load_bundle
    from bharsdk.files.codec import to_json_dict

    bundle = load_bundle(arguments.bundle)
    if arguments.card:
        print(bundle.model_card)
        return 0
    if arguments.report:
        print(json.dumps(bundle.report, indent=2, ensure_ascii=False))
        return 0
    manifest = bundle.manifest
    print(json.dumps(to_json_dict(manifest), indent=2, ensure_ascii=False))
    return 0


def _verify(arguments: Verify) -> int:
    """One line for each back end; the first that computes something else ends the command."""
    from bharsdk.bundle.bundle import load_bundle
    from bharsdk.engines.engine import Backend, backends_of
    from bharsdk.engines.golden_check import verify_bundle
    from bharsdk.engines.trial import try_model

    bundle = load_bundle(arguments.bundle)
    wanted = [Backend(arguments.backend)] if arguments.backend else backends_of(bundle)
    for backend in wanted:
        try:
            try_model(bundle, backend)
            found = verify_bundle(bundle, backend)
        except BackendMissingError as error:
            if arguments.backend:
                raise
            print(f"{backend.value:<9} not checked: {error}")
            continue
        print(
            f"{backend.value:<9} ok: {found.engine}, {found.clips} golden clips, largest difference"
            f" of a logit {found.max_abs_difference:.3g} (at most {found.tolerance:.3g})"
        )
    return 0


def _build(arguments: Build) -> int:
    from bharsdk.bundle.bundle import load_bundle
    from bharsdk.engines.golden_check import check_engine
    from bharsdk.engines.tensorrt import TensorrtEngine

    bundle, progress = load_bundle(arguments.bundle), ProgressLine()
    try:
        engine = TensorrtEngine(bundle, progress.show)
    finally:
        progress.clear()
    if engine.not_kept is not None:
        raise engine.not_kept
    found = check_engine(bundle, engine)
    print(
        f"{found.engine}: {found.clips} golden clips, largest difference of a logit"
        f" {found.max_abs_difference:.3g} (at most {found.tolerance:.3g})"
    )
    return 0


def _models(arguments: Models) -> int:
    from bharsdk.bundle.bundle import load_bundle
    from bharsdk.bundle.shipped import shipped_bundles

    for name, path in shipped_bundles().items():
        manifest = load_bundle(path).manifest
        kibibytes = path.stat().st_size / 1024
        print(
            f"{name:<20} {manifest.model}, {manifest.precision.value}, {kibibytes:.0f} KiB,"
            f" {len(manifest.labels)} labels: {' '.join(manifest.labels)}"
        )
    return 0


INSPECT = Command(Inspect, _inspect)
VERIFY = Command(Verify, _verify)
BUILD = Command(Build, _build)
MODELS = Command(Models, _models)
