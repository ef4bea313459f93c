"""What can't succeed for any file is refused before any work, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ctfast.dispatch.chain import check_chain
from ctfast.errors import CTFastError, UsageError
from ctfast.files.formats import Format, by_extension
from ctfast.files.image import PIXEL_DTYPES
from ctfast.pipeline import Pipeline

_PNG = ("uint8", "uint16")


def refuse_impossible(sources: Iterable[Path], pipeline: Pipeline, output: Format, backend: str) -> None:
    """Check the packages that inputs and outputs need, whether the outputs' format holds what the pipeline gives, and
    whether the backend does.

    Raises:
        MissingDependencyError: names the pip command.
        UsageError: no input gives pixels that the format holds, or a GPU is to filter along three axes.
    """
    if backend == "gpu" and any(step.axes == 3 and step.spec.kind == "filter" for step in pipeline.steps):
        raise UsageError("backend='gpu': steps with three numbers are computed on the CPU; choose backend='cpu'")
    needed = {kind for kind in map(by_extension, sources) if kind is not None}
    for kind in needed if output.writer_alone else {*needed, output}:
        kind.check_package()
    results = _result_dtypes(pipeline) if output.name == "png" else set()
    if results and results.isdisjoint(_PNG):
        raise UsageError(
            f"format='png' holds {' and '.join(_PNG)}; this pipeline gives {', '.join(sorted(results))}: choose "
            "another format, or end with a window step with dtype=uint8"
        )


def _result_dtypes(pipeline: Pipeline) -> set[str]:
    """What the pipeline gives for the dtypes that it takes."""
    results = set()
    for dtype in PIXEL_DTYPES:
        try:
            results.add(check_chain(np.dtype(dtype), pipeline.steps, "cpu").dtype.name)
        except CTFastError:  # not for pixels of this dtype
            continue
    return results
