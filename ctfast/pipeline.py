"""A chain of operations as data: checked when made, saved as TOML or JSON, with a stable hash, run on arrays.

>>> p = Pipeline([Step("window", center=40, width=400, dtype="uint8"), Step("median_filter", size=3), Step("summary")])
>>> p(image)                    # the image after the last step
>>> p.run(image).summary      # with the statistics taken on the way

As a file::

    name = "soft tissue"
    [[steps]]
    operation = "window"
    center = 40
    width = 400
    dtype = "uint8"
    [[steps]]
    operation = "median_filter"
    size = 3
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctfast.dispatch.chain import run_along, run_steps
from ctfast.dispatch.steps import Step, as_step, parse_step
from ctfast.errors import ArgumentError, CTFastError
from ctfast.results import PipelineResult
from ctkernels.contract import OPERATIONS

if TYPE_CHECKING:
    from ctfast.dispatch.graph import PipelineGraph

__all__ = ["Pipeline", "Step", "parse_step"]


class Pipeline:
    """A checked, immutable chain of steps.

    Args:
        steps: ``Step`` objects, or mappings with ``operation`` and its parameters.
        name: shown in reports; not part of the hash.

    Raises:
        ArgumentError: no steps, an unknown operation or parameter, a value that is not allowed (says which step).
    """

    def __init__(self, steps: Iterable[Step | Mapping[str, Any]], *, name: str = "") -> None:
        self.steps: tuple[Step, ...] = tuple(as_step(i, s) for i, s in enumerate(steps, 1))
        self.name = name
        if not self.steps:
            raise ArgumentError(f"a pipeline without steps: at least one of {', '.join(OPERATIONS)} is needed")
        statistics = [step.operation for step in self.steps if step.is_statistic]
        for operation in statistics:
            if statistics.count(operation) > 1:
                raise ArgumentError(f"a pipeline has room for one {operation} step")

    @cached_property
    def hash(self) -> str:
        """16 hex digits, the same for the same computation, whatever machine, version, or way of writing it."""
        text = json.dumps([s.identity() for s in self.steps], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def expects_hu(self) -> bool:
        """Whether the result makes sense for Hounsfield units only: windows and tissues are named in HU."""
        return any(step.spec.needs_hu for step in self.steps)

    @cached_property
    def keeps_units(self) -> bool:
        """Whether the result is in the units of the input: nothing but smoothing and statistics."""
        return all(step.spec.units in ("keeps", "statistic") for step in self.steps)

    def __call__(self, image: Any, *, backend: str | None = None, axes: tuple[int, ...] | None = None) -> Any:
        """The image after the last step."""
        return self.run(image, backend=backend, axes=axes).image

    def run(
        self,
        image: Any,
        *,
        backend: str | None = None,
        padding: float | tuple[float, float] | None = None,
        axes: tuple[int, ...] | None = None,
    ) -> PipelineResult:
        """Run all steps on an image ``(H, W)`` or a batch ``(..., H, W)``; what comes in is never changed.

        Gray images with their channel last, ``(..., H, W, 1)``, come back so, as from every operation.

        Args:
            image: as for the operations.
            backend: as for the operations.
            padding: value of pixels that are no data, or the range (low, high) of theirs, such as
                ``Image.padding_range`` of a file. Statistics and ranges leave them out, and they are never bright: see
                ``ctfast.dispatch.padded`` for the rules. The image is an array of NumPy then. What ``read_image`` gave
                tells its own; its ``pixels`` alone do not.
            axes: which axes are rows and columns, or planes, rows and columns, where they are not the last:
                ``(1, 2, 3)`` for ``(C, H, W, D)``. The image comes back in its order.
        """
        if hasattr(image, "padding_range"):
            padding, image = (image.padding_range if padding is None else padding), image.pixels
        if axes is not None:
            return run_along(partial(self.run, backend=backend, padding=padding), self.steps, image, axes)
        if padding is None:
            return run_steps(image, self.steps, backend)
        from ctfast.dispatch.padded import run_padded

        return run_padded(image, self.steps, backend, padding)

    def capture(self, image: Any, *, out: Any = None) -> PipelineGraph:
        """Run all steps on an image or batch on a GPU and record them (a CUDA graph), to launch them again and again.

        For small batches, where asking for the work takes longer than doing it::

            captured = pipeline.capture(x)  # x: a CuPy array
            x.set(new_pixels)
            captured.launch().image         # the same array every time

        Args:
            image: a C-contiguous CuPy array on the current GPU, ``(H, W)`` or ``(..., H, W)``; not changed. Steps
                along three axes take ``(..., D, H, W)``.
            out: such an array for the last image, of its dtype; None makes one.

        Raises:
            ArgumentError: an array that is not on the current GPU, or a histogram step without ``value_range``.
            DeviceError: CUDA could not record; ``run`` works as before.
        """
        from ctfast.dispatch.graph import PipelineGraph

        return PipelineGraph(self.steps, image, out)

    def to_dict(self) -> dict[str, Any]:
        """Name and steps as JSON-able values."""
        return {"name": self.name, "steps": [s.to_dict() for s in self.steps]}

    def to_json(self) -> str:
        """As a JSON text that ``from_file`` reads."""
        return json.dumps(self.to_dict(), indent=2)

    def to_toml(self) -> str:
        """As a TOML text that ``from_file`` reads (flat JSON values are TOML values)."""
        lines = [f"name = {json.dumps(self.name)}"]
        for step in self.steps:
            lines += ["", "[[steps]]", *(f"{key} = {json.dumps(value)}" for key, value in step.to_dict().items())]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pipeline:
        """From ``{"name": ..., "steps": [...]}``."""
        extra = sorted(set(data) - {"name", "steps"})
        if extra or not isinstance(data.get("steps"), list):
            raise ArgumentError(
                f"a pipeline holds 'name' and a list 'steps'; found {', '.join(sorted(data)) or 'nothing'}"
            )
        return cls(data["steps"], name=str(data.get("name", "")))

    @classmethod
    def from_file(cls, path: str | Path) -> Pipeline:
        """From a ``.toml`` or ``.json`` file; errors name the file and the step.

        Files that steps name, such as a reference histogram, lie beside it unless their path is absolute.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            data = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
        except OSError as error:
            raise ArgumentError(f"pipeline file {path}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise ArgumentError(f"pipeline file {path} can't be read: {error}") from error
        if not isinstance(data, dict):
            raise ArgumentError(f"pipeline file {path}: a table with 'steps' is needed")
        try:
            return cls.from_dict(_with_files_beside(path, data))
        except CTFastError as error:
            raise ArgumentError(f"pipeline file {path}: {error}") from error

    def __repr__(self) -> str:
        return f"Pipeline([{', '.join(map(repr, self.steps))}], name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(self.steps)


def _with_files_beside(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    """The pipeline with the names of files as seen from here."""

    def seen(name: Any) -> Any:
        if isinstance(name, list) and len(name) == 2 and isinstance(name[0], str):
            return [seen(name[0]), name[1]]
        return str(path.parent / name) if isinstance(name, str) else name

    steps = data.get("steps")
    for step in steps if isinstance(steps, list) else ():
        spec = OPERATIONS.get(str(step.get("operation"))) if isinstance(step, dict) else None
        for param in spec.params if spec else ():
            if param.kind == "reference_histogram" and param.name in step:
                step[param.name] = seen(step[param.name])
    return data
