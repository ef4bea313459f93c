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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctfast import backend as backends
from ctfast import ops
from ctfast.dispatch.arrays import as_images
from ctfast.dispatch.chain import fits, naming, run_chain
from ctfast.dispatch.checks import check_params
from ctfast.dispatch.transfer import at_home, contiguous, errors_of, relocated
from ctfast.errors import ArgumentError, CTFastError
from ctfast.results import PipelineResult
from ctkernels.contract import OPERATIONS, Operation

if TYPE_CHECKING:
    from ctfast.dispatch.graph import Captured


class Step:
    """One operation with its parameters, checked."""

    __slots__ = ("dtype", "operation", "params")

    def __init__(self, operation: str, *, dtype: str | None = None, **params: Any) -> None:
        if operation not in OPERATIONS:
            raise ArgumentError(f"operation={operation!r}: one of {', '.join(OPERATIONS)} is allowed")
        spec = OPERATIONS[operation]
        if dtype is not None:
            dtype = _checked_dtype(spec, dtype)
        self.operation = operation
        self.dtype = dtype
        self.params: dict[str, Any] = check_params(spec, params)

    @property
    def spec(self) -> Operation:
        """What the contract says about the operation."""
        return OPERATIONS[self.operation]

    @property
    def is_statistic(self) -> bool:
        """Whether the step looks at the image without changing it."""
        return self.spec.is_statistic

    def to_dict(self) -> dict[str, Any]:
        """Operation, dtype and the parameters that differ from their defaults, as JSON-able values."""
        data: dict[str, Any] = {"operation": self.operation}
        if self.dtype is not None:
            data["dtype"] = self.dtype
        defaults = Step._defaults(OPERATIONS[self.operation])
        for name, value in self.params.items():
            if name not in defaults or value != defaults[name]:
                data[name] = _plain(value)
        return data

    @staticmethod
    def _defaults(spec: Operation) -> dict[str, Any]:
        from ctfast.dispatch.checks import CHECKS

        return {p.name: CHECKS[p.kind](p.name, p.default) for p in spec.params if not p.required}

    def __repr__(self) -> str:
        data = self.to_dict()
        parts = [repr(data.pop("operation")), *(f"{k}={v!r}" for k, v in data.items())]
        return f"Step({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_dict(), sort_keys=True))


def _checked_dtype(spec: Operation, dtype: str) -> str:
    allowed = spec.out_dtypes
    if not spec.chooses_dtype:
        raise ArgumentError(f"{spec.name} has no dtype=: its result's type is fixed")
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in allowed:
        raise ArgumentError(f"{spec.name} to dtype={dtype!r}: {', '.join(allowed)} are allowed")
    return name


def _plain(value: Any) -> Any:
    """Normal-form values as JSON and TOML hold them; an open end of a range is "inf" or "-inf"."""
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_plain(v) for v in value)
    return float(value) if value in ("inf", "-inf") else value


class Pipeline:
    """A checked, immutable chain of steps.

    Args:
        steps: ``Step`` objects, or mappings with ``operation`` and its parameters.
        name: shown in reports; not part of the hash.

    Raises:
        ArgumentError: no steps, an unknown operation or parameter, a value that is not allowed (says which step).
    """

    def __init__(self, steps: Iterable[Step | Mapping[str, Any]], *, name: str = "") -> None:
        self.steps: tuple[Step, ...] = tuple(_as_step(i, s) for i, s in enumerate(steps, 1))
        self.name = name
        if not self.steps:
            raise ArgumentError(f"a pipeline without steps: at least one of {', '.join(OPERATIONS)} is needed")
        statistics = [step.operation for step in self.steps if step.is_statistic]
        for operation in statistics:
            if statistics.count(operation) > 1:
                raise ArgumentError(f"a pipeline has room for one {operation} step")

    @property
    def hash(self) -> str:
        """16 hex digits, the same for the same computation, whatever machine, version, or way of writing it."""
        text = json.dumps([s.to_dict() for s in self.steps], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def expects_hu(self) -> bool:
        """Whether the result makes sense for Hounsfield units only: windows and tissues are named in HU."""
        return any(step.spec.needs_hu for step in self.steps)

    @property
    def keeps_units(self) -> bool:
        """Whether the result is in the units of the input: nothing but smoothing and statistics."""
        return all(step.spec.units in ("keeps", "statistic") for step in self.steps)

    def __call__(self, image: Any, *, backend: str | None = None) -> Any:
        """The image after the last step."""
        return self.run(image, backend=backend).image

    def run(self, image: Any, *, backend: str | None = None) -> PipelineResult:
        """Run all steps on an image ``(H, W)`` or a batch ``(..., H, W)``; what comes in is never changed."""
        with naming(1, self.steps[0]):
            images = as_images(image)
        chosen = backends.select(backend, images.device)
        chained = fits(self.steps, chosen)
        if not at_home(images, chosen):
            # Over once and back once, not at every step.
            return relocated(partial(self.run, backend=chosen), image, images, chosen, splits=chained)
        if not chained:
            image, found = self._step_by_step(image, chosen)
            return PipelineResult(image, **found)
        with errors_of(images):
            image, found = run_chain(image, contiguous(images), self.steps, chosen)
        return PipelineResult(image, **found)

    def capture(self, image: Any, *, out: Any = None) -> Captured:
        """Run all steps on an image or batch on a GPU and record them (a CUDA graph), to launch them again and again.

        For small batches, where asking for the work takes longer than doing it::

            captured = pipeline.capture(x)  # x: a CuPy array
            x.set(new_pixels)
            captured.launch().image         # the same array every time

        Args:
            image: a C-contiguous CuPy array on the current GPU, ``(H, W)`` or ``(..., H, W)``; not changed.
            out: such an array for the last image, of its dtype; None makes one.

        Raises:
            ArgumentError: an array that is not on the current GPU, or a histogram step without ``value_range``.
            DeviceError: CUDA could not record; ``run`` works as before.
        """
        from ctfast.dispatch.graph import Captured

        return Captured(self.steps, image, out)

    def _step_by_step(self, image: Any, backend: str) -> tuple[Any, dict[str, Any]]:
        found: dict[str, Any] = {}
        for number, step in enumerate(self.steps, 1):
            function = getattr(ops, step.operation)
            params = dict(step.params) if step.dtype is None else {**step.params, "dtype": step.dtype}
            with naming(number, step):
                result = function(image, **params, backend=backend)
            if step.is_statistic:
                found[step.operation] = result
            else:
                image = result
        return image, found

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
        """From a ``.toml`` or ``.json`` file; errors name the file and the step."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            data = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
        except OSError as error:
            raise ArgumentError(f"pipeline file {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise ArgumentError(f"pipeline file {path} can't be read: {error}") from error
        if not isinstance(data, dict):
            raise ArgumentError(f"pipeline file {path}: a table with 'steps' is needed")
        try:
            return cls.from_dict(data)
        except CTFastError as error:
            raise ArgumentError(f"pipeline file {path}: {error}") from error

    def __repr__(self) -> str:
        return f"Pipeline([{', '.join(map(repr, self.steps))}], name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(self.steps)


def _as_step(number: int, step: Step | Mapping[str, Any]) -> Step:
    if isinstance(step, Step):
        return step
    try:
        params = {str(k): _from_plain(v) for k, v in dict(step).items()}
        operation = params.pop("operation", None)
        if operation is None:
            raise ArgumentError("'operation' is missing")
        return Step(operation, **params)
    except (CTFastError, TypeError, ValueError) as error:
        raise ArgumentError(f"step {number}: {error}") from error


def parse_step(text: str) -> Step:
    """A step as the command line writes it: ``"median_filter size=5 mode=mirror"``, pairs as ``size=3,5``."""
    operation, *words = text.split()
    params: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name or not value:
            raise ArgumentError(f"step {text!r}: {word!r} is no name=value; write it as 'median_filter size=5'")
        items = [_parse_value(item) for item in value.split(",")]
        params[name] = items[0] if len(items) == 1 else tuple(items)
    try:
        return Step(operation, **params)
    except CTFastError as error:
        raise ArgumentError(f"step {text!r}: {error}") from error


def _parse_value(text: str) -> Any:
    if text.lower() == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
