"""Operations whose result is a few numbers an image: what their kernels get, and their rows as the caller gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast import backend
from ctfast.dispatch import masks
from ctfast.dispatch.arrays import Images, as_images, as_tall, is_plain
from ctfast.dispatch.call import dispatched
from ctfast.dispatch.checks import check_params, check_reach, for_kernel
from ctfast.dispatch.containers import Call, Task, container
from ctfast.dispatch.exact_casts import as_taken
from ctfast.dispatch.masks import Mask, mask_of, masked
from ctfast.dispatch.named_axes import along, is_named
from ctfast.dispatch.prepared import Params, Prepared, key_of, prepare, prepared
from ctfast.dispatch.transfer import copied_to_host, gpu, to_caller
from ctfast.errors import ArgumentError, ValueRangeError
from ctfast.results import Histogram, Summary
from ctkernels.contract import OPERATIONS, SUMMARY_FIELDS

_COUNT, _MIN, _MAX = (SUMMARY_FIELDS.index(name) for name in ("count", "min", "max"))


def statistic(name: str, image: Any, params: Params, *, backend_name: str | None = None, where: Any = None) -> Any:
    """Run operation ``name``, whose result is numbers; ``where``: the pixels that count (see ``dispatch.masks``)."""
    if where is not None:

        def leaf(x: Any, mask: Any, params: Params, _: Any) -> Any:
            images = as_images(as_taken(x))
            compute = partial(_statistic, name, params, mask_of(mask, images))
            return dispatched(images, backend_name, compute, splits=lambda: False)

        return masked(leaf, Call(name, params), image, where, backend_name)
    if is_named(params):
        return along(partial(statistic, name, backend_name=backend_name), OPERATIONS[name], image, params)
    if type(image) is np.ndarray and image.flags.c_contiguous and not needs_all_pixels(name, params):
        result = _plain(name, image, params, backend_name)
        if result is not None:
            return result
    if apply := container(image):
        again = partial(statistic, name, params=params, backend_name=backend_name)
        operation = OPERATIONS[name]
        axes = operation.axes(check_params(operation, params))
        return apply(Task(again, (Call(name, params),), backend_name, axes=axes), image, None)
    compute = partial(_statistic, name, params, None)
    splits = params.get("axes", 2) == 2 and not needs_all_pixels(name, params)
    return dispatched(as_images(as_taken(image)), backend_name, compute, splits=lambda: splits)


class _Known(NamedTuple):
    """As ``dispatch.plain.Known``, with what the rows of a statistic need."""

    run: Callable[[Any, Any], None]
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    dtype: np.dtype[Any]
    params: Params


@lru_cache(maxsize=256)
def _known(key: tuple[Any, ...], shape: tuple[int, ...]) -> _Known | None:
    name, chosen, image = key[:3]
    if not is_plain(image, shape):
        return None
    made = prepared(*key)
    if len(made.halo) > 2:
        return None
    batch = (prod(shape[:-2]), shape[-2], shape[-1])
    params = kernel_params(name, image, made.params)
    run = backend.bound(chosen, name, batch, image, made.dtype, params)
    return _Known(run, batch, OPERATIONS[name].result_shape(batch, params), made.dtype, params)


def _plain(name: str, image: NDArray[Any], params: Params, backend_name: str | None) -> Any:
    """The short way (see ``dispatch.plain``); None where the call must go the long way."""
    chosen = backend.select(backend_name)
    if chosen == "gpu":
        return None
    try:
        found = _known(key_of(name, chosen, image.dtype, params), image.shape)
    except TypeError:  # an argument that can't be hashed
        return None
    if found is None:
        return None
    rows, batch = np.empty(found.rows, found.dtype), image.reshape(found.batch)
    found.run(batch, rows)
    return RESULTS[name](rows, found.params, Images(batch, image.shape, "numpy"))


def needs_all_pixels(name: str, params: Params) -> bool:
    """Whether the whole batch must be seen first: a histogram that finds its own range shares it over the batch."""
    return name == "histogram" and params["value_range"] is None


def _statistic(name: str, params: Params, where: Mask | None, images: Images, chosen: str, _: Any) -> Any:
    prepared = prepare(name, images.batch.dtype, params, chosen=chosen)
    mask = masks.for_kernel(where, images.batch.shape, chosen)
    given = kernel_params(name, images.batch.dtype, prepared.params, images, mask.get("where"))
    check_reach(OPERATIONS[name], prepared.halo, images.shape)
    if len(prepared.halo) == 3:
        images = as_tall(images)
        mask = {word: part.reshape(images.batch.shape) for word, part in mask.items()}
    return RESULTS[name](_rows(images, prepared, name, {**given, **mask}), given, images)


def _rows(images: Images, prepared: Prepared, name: str, params: Params) -> Any:
    xp: Any = np if images.device is None else gpu()
    rows = xp.empty(OPERATIONS[name].result_shape(images.batch.shape, params), prepared.dtype)
    prepared.run(images.batch, rows, **params)
    return rows


def kernel_params(
    name: str, dtype: np.dtype[Any], params: Params, images: Images | None = None, where: Mask | None = None
) -> Params:
    """Parameters in normal form as kernels take them: ``histogram`` gets its ``edges``.

    ``images`` are looked at where a histogram has to find its range, those of their pixels that are in the mask.
    """
    if name != "histogram":
        return for_kernel(params)
    value_range = params["value_range"]
    if value_range is None:
        assert images is not None, "needs_all_pixels() was not asked"
        value_range = _finite_range(images, where)
    return {"edges": _edges(dtype, params["bins"], value_range)}


def _finite_range(images: Images, where: Mask | None) -> tuple[Any, Any]:
    batch = images.batch
    pixels = batch.size
    if where is not None:
        kept = where if images.device is None else copied_to_host(where, "cupy")
        pixels = int(np.count_nonzero(kept))
        if not pixels:
            return 0.0, 1.0  # NumPy's of nothing
    if images.device is None:
        batch = batch if where is None else batch[where]
        low, high = batch.min(), batch.max()
        finite = bool(np.isfinite(low) and np.isfinite(high))
    else:
        # The edges are made on the host, so this one has to wait for the GPU.
        prepared = prepare("summary", batch.dtype, {"percentiles": 50.0}, chosen="gpu")
        mask = {} if where is None else {"where": where}
        rows = _rows(images, prepared, "summary", {**prepared.for_kernel, **mask}).get()
        finite = bool(rows[:, _COUNT].sum() == pixels)
        rows = rows[rows[:, _COUNT] > 0] if finite else rows
        low, high = rows[:, _MIN].min().astype(batch.dtype), rows[:, _MAX].max().astype(batch.dtype)
    if not finite:
        raise ValueRangeError("the data hold NaN or inf, so no range can be found: give value_range=(low, high)")
    return low, high


@lru_cache(maxsize=64)
def _edges(dtype: np.dtype[Any], bins: int, value_range: tuple[Any, Any]) -> NDArray[Any]:
    """Bin edges by the rules of ``numpy.histogram_bin_edges``, read-only."""
    try:
        edges = np.histogram_bin_edges(np.empty(0, dtype), bins, value_range)
    except ValueError as error:
        raise ArgumentError(f"bins={bins}, value_range={value_range}: {error}") from error
    if not (edges[:-1] < edges[1:]).all():  # NumPy says so from 2.0 on
        raise ArgumentError(f"bins={bins}, value_range={value_range}: {dtype} holds fewer numbers than bins there")
    edges.flags.writeable = False
    return edges


def _histogram(rows: Any, params: Params, images: Images) -> Histogram:
    counts, edges = rows.reshape(*images.shape[:-2], -1), params["edges"]
    if images.kind == "numpy":
        return Histogram(counts, edges)
    return Histogram(to_caller(counts, images), to_caller(edges.copy(), images))


def _summary(rows: Any, params: Params, images: Images) -> Summary:
    lead, levels = images.shape[:-2], params["percentiles"]
    fields = {name: rows[:, i].reshape(lead) for i, name in enumerate(SUMMARY_FIELDS)}
    fields["count"] = fields["count"].astype(np.int64)
    return Summary(
        **{name: to_caller(column[()], images) for name, column in fields.items()},
        percentiles=to_caller(rows[:, len(SUMMARY_FIELDS) :].reshape(*lead, len(levels)), images),
        levels=levels,
    )


RESULTS: Final[Mapping[str, Callable[[Any, Params, Images], Any]]] = {"histogram": _histogram, "summary": _summary}
"""A kernel's rows and its parameters as the caller of the images gets them."""
