"""``bhar inspect``, ``verify``, ``build`` and ``models``: what is in a bundle, and is it right."""

from __future__ import annotations

import argparse
import json

from bharsdk.cli.arguments import DEVICES, AddCommand
from bharsdk.cli.names import some_text
from bharsdk.cli.progress import ProgressLine
from bharsdk.errors import BackendMissingError

__all__ = ["add_parsers"]


def add_parsers(command: AddCommand) -> None:
    """Add the commands."""
    inspect = command("inspect", "print the manifest of a bundle", _inspect)
    inspect.add_argument(
        "bundle", type=some_text, help="path of a bundle, or the name of a shipped one"
    )
    inspect.add_argument(
        "--card", action="store_true", help="print the model card: data, accuracy, size, limits"
    )
    inspect.add_argument(
        "--report", action="store_true", help="print what the exporter measured, as JSON"
    )

    does = "replay a bundle's golden inputs on this machine, on every back end"
    verify = command("verify", does, _verify)
    verify.add_argument(
        "bundle", type=some_text, help="path of a bundle, or the name of a shipped one"
    )
    verify.add_argument(
        "--device",
        choices=DEVICES,
        help="this one alone; default: each that the bundle has a model for",
    )

    does = "build the TensorRT engine of a bundle on this device, and keep it beside the bundle"
    build = command("build", does, _build)
    build.add_argument(
        "bundle", type=some_text, help="path of a bundle that was exported with --target jetson"
    )

    command("models", "list the shipped models", _models)


def _inspect(arguments: argparse.Namespace) -> int:
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


def _verify(arguments: argparse.Namespace) -> int:
    """One line for each back end; the first that computes something else ends the command."""
    from bharsdk.bundle.bundle import load_bundle
    from bharsdk.engines.engine import Backend, backends_of
    from bharsdk.engines.golden_check import verify_bundle
    from bharsdk.engines.trial import try_model

    bundle = load_bundle(arguments.bundle)
    wanted = [Backend(arguments.device)] if arguments.device else backends_of(bundle)
    for backend in wanted:
        try:
            try_model(bundle, backend)
            found = verify_bundle(bundle, backend)
        except BackendMissingError as error:
            if arguments.device:
                raise
            print(f"{backend.value:<9} not checked: {error}")
            continue
        print(
            f"{backend.value:<9} ok: {found.engine}, {found.clips} golden clips, largest difference"
            f" of a logit {found.max_abs_difference:.3g} (at most {found.tolerance:.3g})"
        )
    return 0


def _build(arguments: argparse.Namespace) -> int:
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


def _models(arguments: argparse.Namespace) -> int:
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
