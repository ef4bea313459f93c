"""What frozen dataclasses of settings share: checks of their fields, and the way to JSON and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final, Self

from ctfast.errors import ArgumentError

_LARGEST: Final = 1 << 20


def refusal(name: str, value: Any, allowed: str) -> ArgumentError:
    """The error for a value that is not allowed."""
    return ArgumentError(f"{name}={value!r}: {allowed} is allowed")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_whole(name: str, value: Any, low: int, high: int = _LARGEST) -> None:
    """Raise an ArgumentError unless a value is a whole number from ``low`` to ``high``."""
    if type(value) is not int or not low <= value <= high:
        raise refusal(name, value, f"a whole number from {low} to {high}")


def check_number(name: str, value: Any, low: float, high: float, *, above: bool = False) -> None:
    """Raise an ArgumentError unless a value is a finite number from (or ``above``) ``low`` to ``high``."""
    if not is_number(value) or not low <= value <= high or (above and value == low):
        raise refusal(name, value, f"a number {'above' if above else 'from'} {low:g} to {high:g}")


class Stored:
    """Dataclasses that go to JSON and back; lists become tuples again."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From what ``to_dict`` gave, also by way of JSON.

        Raises:
            ArgumentError: For unknown names and values that are not allowed.
        """
        names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(data) - names)
        if unknown:
            raise ArgumentError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})
