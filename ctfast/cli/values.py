"""Values of options without pydantic, which Typer asks about every word from 0.29 on: importing it takes longer than a
short command. Earlier versions of Typer know nothing of this and need nothing of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

_ATTRIBUTE: Final = "_runtime_param"
"""Where Typer keeps what makes a parameter's values out of words; ``None``: not made yet."""
_NUMBERS: Final = {int: re.compile(r"-?[0-9]{1,9}"), float: re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")}
"""How they are mostly written."""


class _Plain:
    """Takes words as words, paths and numbers, and what has its type already; all other values go Typer's way."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        kind, limits = param.type_descriptor.annotation, param.type_descriptor.parameter_info
        if several and kind == list[str] and not isinstance(value, str) and all(isinstance(v, str) for v in value):
            return list(value)
        if not several and isinstance(value, str) and kind in (str, Path):
            return kind(value)
        if not several and isinstance(value, str) and kind in _NUMBERS and _NUMBERS[kind].fullmatch(value):
            value = kind(value)
        if not several and type(value) is kind and _within(value, limits):
            return value
        setattr(param, _ATTRIBUTE, None)
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _within(value: Any, limits: Any) -> bool:
    return (limits.min is None or value >= limits.min) and (limits.max is None or value <= limits.max)


def without_pydantic(parameters: list[Any]) -> list[Any]:
    """Have this for those that are Typer's own: no checks of paths are asked for anywhere here."""
    for parameter in parameters:
        if getattr(parameter, _ATTRIBUTE, parameter) is None and hasattr(parameter, "type_descriptor"):
            setattr(parameter, _ATTRIBUTE, _Plain())
    return parameters
