"""One operation of a pipeline as data: checked when made, from and to plain values and the words of a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from ctfast.dispatch.checks import check_params
from ctfast.dispatch.kinds import CHECKS
from ctfast.errors import ArgumentError, CTFastError, one_of
from ctfast.reference_histogram import ReferenceHistogram
from ctkernels.contract import OPERATIONS, Operation


class Step:
    """One operation with its parameters, checked."""

    __slots__ = ("dtype", "operation", "params")

    def __init__(self, operation: str, *, dtype: str | None = None, **params: Any) -> None:
        if operation not in OPERATIONS:
            raise ArgumentError(f"operation={operation!r}: {one_of(operation, OPERATIONS)}")
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

    @property
    def axes(self) -> int:
        """How many trailing axes of an image belong together: 3 where a parameter has three numbers, else 2."""
        return self.spec.axes(self.params)

    def to_dict(self) -> dict[str, Any]:
        """Operation, dtype and the parameters that differ from their defaults, as JSON-able values."""
        return self._written(plain)

    def identity(self) -> dict[str, Any]:
        """As ``to_dict``, but of a file its content and not its name."""
        return self._written(lambda value: value.digest if isinstance(value, ReferenceHistogram) else plain(value))

    def _written(self, write: Callable[[Any], Any]) -> dict[str, Any]:
        data: dict[str, Any] = {"operation": self.operation}
        if self.dtype is not None:
            data["dtype"] = self.dtype
        for param in self.spec.params:
            value = self.params[param.name]
            if param.required or value != CHECKS[param.kind](param.name, param.default):
                data[param.name] = write(value)
        return data

    def __repr__(self) -> str:
        data = self._written(lambda value: value if isinstance(value, ReferenceHistogram) else plain(value))
        parts = [repr(data.pop("operation")), *(f"{k}={v!r}" for k, v in data.items())]
        return f"Step({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash(json.dumps(self.identity(), sort_keys=True))


def _checked_dtype(spec: Operation, dtype: str) -> str:
    allowed = spec.out_dtypes
    if not spec.chooses_dtype:
        raise ArgumentError(f"{spec.name} has no dtype=: its result's type is fixed")
    try:
        wanted = np.dtype(dtype)
        name = wanted.name if wanted.isnative else str(wanted)
    except TypeError:
        name = str(dtype)
    if name not in allowed:
        raise ArgumentError(f"{spec.name} to dtype={dtype!r}: {', '.join(allowed)} are allowed")
    return name


def plain(value: Any) -> Any:
    """Normal-form values as JSON and TOML hold them; an open end of a range is "inf" or "-inf"."""
    if isinstance(value, ReferenceHistogram):
        return value.plain()
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return value


def from_plain(value: Any) -> Any:
    """Values as Python code has them, of those that JSON and TOML hold."""
    if isinstance(value, list):
        return tuple(from_plain(v) for v in value)
    return float(value) if value in ("inf", "-inf") else value


def as_step(number: int, step: Step | Mapping[str, Any]) -> Step:
    """A step from what a pipeline is made of; errors say which one it is."""
    if isinstance(step, Step):
        return step
    try:
        params = {str(k): from_plain(v) for k, v in dict(step).items()}
        operation = params.pop("operation", None)
        if operation is None:
            raise ArgumentError("'operation' is missing")
        return Step(operation, **params)
    except (CTFastError, TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"step {number}: {error}") from error


_BRACKETED: Final = re.compile(r"\((.+)\)|\[(.+)\]")
_INNER_SPACE: Final = re.compile(r"(?<=[,(\[])\s+|\s+(?=[,)\]])")
"""Beside commas and brackets, within a pair."""


def parse_step(text: str) -> Step:
    """A step as the command line writes it: ``"median_filter size=5 mode=mirror"``, pairs as ``size=3,5``.

    Pairs may stand in brackets, ``size=(3, 5)`` or ``size=[3, 5]``, as in Python and TOML.
    """
    operation, *words = _INNER_SPACE.sub("", text).split()
    params: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name or not value:
            raise ArgumentError(f"step {text!r}: {word!r} is no name=value; write it as 'median_filter size=5'")
        bracketed = _BRACKETED.fullmatch(value)
        inner = (bracketed[1] or bracketed[2]) if bracketed else value
        items = [_parse_value(item) for item in inner.split(",")]
        params[name] = items[0] if len(items) == 1 else tuple(items)
    try:
        return Step(operation, **params)
    except CTFastError as error:
        raise ArgumentError(f"step {text!r}: {error}") from error


def _parse_value(text: str) -> Any:
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@contextmanager
def naming_step(number: int, step: Step) -> Iterator[None]:
    """Errors inside say which step they are from."""
    try:
        yield
    except CTFastError as error:
        error.add_note(f"in step {number} of the pipeline: {step!r}")
        raise
