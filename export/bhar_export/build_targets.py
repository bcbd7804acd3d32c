"""Make everything that one export asks for: a loop over its targets."""

from __future__ import annotations

from collections.abc import Callable

from bhar_export.graph.exported_model import ExportedModel, form_name
from bhar_export.quantization.job import ExportJob
from bhar_export.targets import Target, models_of
from bharsdk.errors import BackendMissingError, BundleError, UsageError

__all__ = ["build_targets"]


def build_targets(
    job: ExportJob, done: Callable[[ExportedModel], None] = lambda exported: None
) -> list[ExportedModel]:
    """Return what all targets of ``job`` make. The first is the ONNX graph in float32.

    ``job.impossible`` then says which ones cannot be made, and why. done: called with each exported
    model as soon as it is made. Raises UsageError, BackendMissingError or BundleError when the only
    target cannot be made.
    """
    targets = job.spec.targets
    made: list[ExportedModel] = []
    for target in dict.fromkeys((Target.ONNX, *targets)):
        try:
            for exported in models_of(target, job):
                made.append(exported)  # those before one that fails are kept
                done(exported)
        except (UsageError, BackendMissingError, BundleError) as error:
            if len(targets) == 1:
                raise
            job.impossible[form_name(target, job.precision)] = str(error)
    return made
