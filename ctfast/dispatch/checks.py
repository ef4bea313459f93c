"""All parameters of a call: each checked by its kind, then together, and against the image."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, Final

from ctfast.dispatch.kinds import CHECKS, MAX_FOOTPRINT, as_number, failure
from ctfast.errors import ArgumentError, ShapeError, one_of
from ctkernels.contract import Operation, each_axis, window_pixels, window_sides

FREE_REACH: Final = 1024
"""Pixels to each side that a filter may look at however small the image is; else twice the image."""
MAX_TABLES: Final = 1 << 28
"""Levels in the tables of all tiles of a volume, up to 1 GB."""
_NO_WIDTH: Final = 1e-300
_AN_AXIS: Final = ("mode", "order", "origin", "radius")
"""Parameters of filters that may have a value for each axis."""


def check_reach(operation: Operation, halo: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Refuse what takes three axes together where there are two, and a filter that looks much further than the image.

    ``halo`` is what the operation's own gives for its parameters. The cost of a far look grows, its result does not.

    Raises:
        ShapeError: three numbers, or ``axes=3``, for an image ``(H, W)``.
        ArgumentError: further than allowed, unless the environment variable ``CTFAST_ALLOW_LARGE`` is set.
    """
    if len(halo) <= len(shape) and max(halo) <= FREE_REACH:
        return
    if len(halo) > len(shape) and operation.kind != "filter":
        raise ShapeError(
            f"{operation.name} with axes=3 takes volumes (..., D, H, W), an image of shape {shape} came in: leave "
            "axes= away, or give the volume (files: a series as one, ctfast run --series)"
        )
    if len(halo) > len(shape):
        raise ShapeError(
            f"{operation.name} with three numbers filters volumes (..., D, H, W), an image of shape {shape} came in: "
            "give two numbers for its rows and columns, or the volume (files: a series as one, ctfast run --series)"
        )
    for reach, side in zip(reversed(halo), reversed(shape)):
        if reach > max(FREE_REACH, 2 * side) and os.environ.get("CTFAST_ALLOW_LARGE", "0") in ("", "0"):
            raise ArgumentError(
                f"{operation.name} would look at {reach:,} pixels to each side, the image has {side:,}: smaller values "
                "are allowed (see its parameters), or CTFAST_ALLOW_LARGE=1 (ctfast run --allow-large)"
            )


def check_params(operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of ``operation`` in normal form, defaults filled in; unknown or missing names are errors."""
    known = [p.name for p in operation.params]
    for name in values:
        if name == "where" and operation.masks:
            raise ArgumentError(
                f"{operation.name} in a pipeline has no where=: pipelines are data, masks are arrays; give it to "
                f"ctfast.{operation.name}, or say which values count by value_range="
            )
        if name not in known:
            raise ArgumentError(f"{operation.name} has no parameter {name!r}: {one_of(name, known)}")
    result = {}
    for param in operation.params:
        if param.required and param.name not in values:
            raise ArgumentError(f"{operation.name} needs {param.name}=")
        result[param.name] = CHECKS[param.kind](param.name, as_number(values.get(param.name, param.default)))
    if operation.name == "window" and result["function"] == "linear" and result["width"] < 1:
        raise failure("width", result["width"], "at least 1 is allowed with function='linear' (DICOM PS3.3 C.11.2.1.2)")
    if result.get("footprint") is not None and set(result["size"]) != {3}:
        raise ArgumentError(
            f"size={result['size']!r} and footprint=: give one of them, the footprint has its own sides"
        )
    if "mode" in result:
        _fit_axes(result)
    if "rank" in result or "percentile" in result or not all(n % 2 for n in result.get("size", ())):
        _fit_window(operation, result)
    if operation.name == "clahe" and len(result["tile_grid"]) == 3:
        levels = math.prod(result["tile_grid"]) * result["nbins"]
        if levels > MAX_TABLES:
            raise ArgumentError(
                f"tile_grid={result['tile_grid']!r} with nbins={result['nbins']:,}: tables of {levels:,} levels; tiles "
                f"times bins up to {MAX_TABLES:,} are allowed: fewer tiles, or fewer bins"
            )
    if operation.name == "normalize" and result["in_range"] is not None:
        other = next((n for n in ("percentiles", "value_range") if result[n] is not None), None)
        if other:
            raise ArgumentError(f"in_range= fixes the range, {other}= finds it: give one of them")
    return result


def _fit_axes(params: dict[str, Any]) -> None:
    """What has a value for each axis has as many as the window or the blur, and is one word where all are the same.

    Raises:
        ArgumentError: another number of them, or a window that its origin leaves.
    """
    sides = params["sigma"] if "sigma" in params else window_sides(params)
    for name in _AN_AXIS:
        value = params.get(name)
        if isinstance(value, tuple) and len(value) != len(sides):
            raise failure(
                name,
                value,
                f"one value, or {len(sides)} of them, is allowed: as many as the other parameters have axes",
            )
    if isinstance(params["mode"], tuple) and len(set(params["mode"])) == 1:
        params["mode"] = params["mode"][0]
    if "order" in params:
        params["order"] = each_axis(params["order"], len(sides)) if _some(params["order"]) else 0
        if params["radius"] is not None:
            params["radius"] = each_axis(params["radius"], len(sides))
    if "origin" not in params:
        return
    given = params["origin"]
    origin = each_axis(given, len(sides))
    for shift, n in zip(origin, sides, strict=True):
        if not 0 <= n // 2 + shift < n:
            low, high = -(n // 2), n - 1 - n // 2
            raise failure("origin", given, f"whole numbers from {low} to {high} are allowed for {n} pixels of a window")
    params["origin"] = origin if _some(given) else 0


def _fit_window(operation: Operation, params: dict[str, Any]) -> None:
    """Windows but odd boxes' medians are lists of pixels; a rank from the largest on becomes one from the smallest on.

    Raises:
        ArgumentError: more pixels than are taken one by one, or a rank that the window has not.
    """
    pixels = window_pixels(params)
    if pixels > MAX_FOOTPRINT:
        raise ArgumentError(
            f"{operation.name} with a window of {pixels:,} pixels: up to {MAX_FOOTPRINT:,} are allowed; median_filter "
            "takes odd windows of any size"
        )
    if (rank := params.get("rank")) is None:
        return
    if not -pixels <= rank < pixels:
        raise failure(
            "rank", rank, f"whole numbers from {-pixels} to {pixels - 1} are allowed for a window of {pixels} pixels"
        )
    params["rank"] = rank % pixels


def _some(value: int | tuple[int, ...]) -> bool:
    return any(value) if isinstance(value, tuple) else bool(value)


def for_kernel(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in normal form as kernels take them.

    Without ``axes``, which they see in the shape that they get; an axis that a Gaussian leaves alone has a width of
    next to nothing, whose only weight is 1; a radius is said by where it truncates; a reference histogram is its values
    and the shares up to each.
    """
    given = {name: value for name, value in params.items() if name != "axes"}
    if given.pop("radius", None) is not None:
        # A quarter of a pixel beyond, so that no rounding leads to another radius.
        sides = zip(params["sigma"], params["radius"], strict=True)
        given["truncate"] = tuple((radius + 0.25) / s if s else 1.0 for s, radius in sides)
    if 0.0 in given.get("sigma", ()):
        given["sigma"] = tuple(s or _NO_WIDTH for s in given["sigma"])
    if "reference" in given:
        given["reference"] = (given["reference"].values, given["reference"].shares)
    return given
