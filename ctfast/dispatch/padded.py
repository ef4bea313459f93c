"""A pipeline over an image that holds padding: pixels that are no data, by their value.

The rules, the same for every command:

- Statistics leave padding out, wherever in the pipeline they are taken.
- A range that a step finds by itself (``normalize``, ``standardize``, ``clahe`` without one) is that of the other
  pixels, as long as nothing before it has left the units of the image.
- Padding that is brighter than the darkest other pixel is set to that one before values become brightness, so that it
  is never taken for tissue. Filters that keep the units leave it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.arrays import known_axes
from ctfast.dispatch.chain import run_steps
from ctfast.dispatch.nested import joined
from ctfast.dispatch.statistics import needs_all_pixels, statistic
from ctfast.dispatch.steps import Step
from ctfast.errors import ArgumentError
from ctfast.results import PipelineResult

Range = tuple[float, float]
_MASKED: Final = ("match_histogram", "normalize", "standardize")
"""Operations whose ``value_range`` says which pixels count."""


def run_padded(image: Any, steps: Sequence[Step], backend_name: str | None, padding: float | Range) -> PipelineResult:
    """Run all steps on ``(H, W)`` or ``(..., H, W)``; pixels equal to ``padding``, or in this range, are no data.

    Raises:
        ArgumentError: for other than arrays of NumPy.
    """
    if type(image) is not np.ndarray:
        raise ArgumentError(f"padding= with a {type(image).__name__}: a NumPy array is needed")
    held = held_pixels(image, padding, steps)
    if held is None:
        return run_steps(image, steps, backend_name)
    image, steps = _without_bright_padding(image, held, steps)
    found: dict[str, Any] = {}
    waiting: list[Step] = []
    for step in steps:
        if not step.is_statistic:
            waiting.append(step)
            continue
        image, waiting = _done(image, waiting, backend_name), []
        found[step.operation] = _statistic(step, image, held, backend_name)
    return PipelineResult(_done(image, waiting, backend_name), **found)


def held_pixels(image: NDArray[Any], padding: float | Range, steps: Sequence[Step]) -> NDArray[np.bool_] | None:
    """Where the data are; None where padding makes no difference: there is none, or it is dark and no step looks."""
    low, high = padding if isinstance(padding, tuple) else (padding, padding)
    if image.dtype.kind == "f":  # the header's number, rounded as the pixels were
        low, high = float(image.dtype.type(low)), float(image.dtype.type(high))
    first = _leaves_units(steps)
    looks = any(step.is_statistic for step in steps) or (first is not None and _finds_range(first))
    if not looks and (first is None or high <= image.min()):
        return None
    held: NDArray[np.bool_] = ~((image >= low) & (image <= high))
    return None if held.all() else held


def _leaves_units(steps: Sequence[Step]) -> Step | None:
    """The first step whose result is no longer in the units of the image."""
    return next((s for s in steps if s.spec.units not in ("keeps", "statistic")), None)


def _finds_range(step: Step) -> bool:
    given = [step.params.get(name) for name in ("in_range", "value_range")]
    return step.operation in (*_MASKED, "clahe") and all(item is None for item in given)


def _without_bright_padding(
    image: NDArray[Any], held: NDArray[np.bool_], steps: Sequence[Step]
) -> tuple[NDArray[Any], Sequence[Step]]:
    """The image, and the steps, that give padding no say in ranges and no brightness."""
    first = _leaves_units(steps)
    if first is None or not held.any():
        return image, steps
    darkest = image[held].min()
    if first.operation in _MASKED and _finds_range(first):
        masked = Step(first.operation, dtype=first.dtype, **{**first.params, "value_range": (float(darkest), None)})
        steps = [masked if step is first else step for step in steps]
        return (image if image[~held].max() < darkest else np.where(held, image, _below(darkest))), steps
    if image[~held].max() <= darkest and not (first.operation == "clahe" and _finds_range(first)):
        return image, steps
    dark = image.copy()
    for frame, data in zip(dark.reshape(-1, *image.shape[-2:]), held.reshape(-1, *image.shape[-2:])):
        frame[~data] = frame[data].min() if data.any() else darkest
    return dark, steps


def _below(value: Any) -> Any:
    """The next lower value of the dtype; the value itself where there is none."""
    if value.dtype.kind == "f":
        return np.nextafter(value, value.dtype.type(-np.inf))
    return value - value.dtype.type(value > np.iinfo(value.dtype).min)


def _done(image: NDArray[Any], steps: Sequence[Step], backend_name: str | None) -> NDArray[Any]:
    result: NDArray[Any] = run_steps(image, steps, backend_name).image if steps else image
    return result


def _statistic(step: Step, image: NDArray[Any], held: NDArray[np.bool_], backend_name: str | None) -> Any:
    """Of the data of each image or volume, which lie in a row for that."""
    together = step.spec.axes(step.params)
    if image.ndim < together:
        return statistic(step.operation, image, step.params, backend_name=backend_name)  # which refuses it
    lead, one = image.shape[:-together], (-1, *image.shape[-together:])
    rows = [pixels[data] for pixels, data in zip(image.reshape(one), held.reshape(one))]
    params = {**step.params, "axes": 2}
    if needs_all_pixels(step.operation, params):
        ends = [end for row in rows if row.size for end in (row.min(), row.max())]
        if ends and np.isfinite(ends).all():
            params["value_range"] = (min(ends), max(ends))
    nothing, shape = np.full(1, np.nan, np.float32), (1, 1, -1) if lead else (1, -1)
    with known_axes():
        parts = [
            statistic(step.operation, (row if row.size else nothing).reshape(shape), params, backend_name=backend_name)
            for row in rows
        ]
    return joined(parts, lead) if lead else parts[0]
