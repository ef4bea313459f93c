"""Results hold arrays: an image, a histogram, a summary, or a pipeline's result with all three."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from ctfast.results import Histogram


def mapped(change: Callable[[Any], Any], result: Any) -> Any:
    """The same result with ``change`` done to every array in it."""
    if result is None or type(result) is tuple:  # a part that was not asked for; the levels of percentiles
        return result
    if isinstance(result, Histogram):
        return Histogram(*(change(array) for array in result))
    if is_dataclass(result) and not isinstance(result, type):
        return replace(result, **{f.name: mapped(change, getattr(result, f.name)) for f in fields(result)})
    return change(result)


def joined(parts: Sequence[Any], lead: tuple[int, ...]) -> Any:
    """Results on the host for parts of a batch as one: the images of all parts make up the axes ``lead``."""
    first = parts[0]
    if first is None or type(first) is tuple:
        return first
    if isinstance(first, Histogram):
        return Histogram(joined([p.counts for p in parts], lead), first.edges)
    if is_dataclass(first) and not isinstance(first, type):
        names = [f.name for f in fields(first)]
        return replace(first, **{n: joined([getattr(p, n) for p in parts], lead) for n in names})
    return np.concatenate(parts).reshape(*lead, *first.shape[1:])
