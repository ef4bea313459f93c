"""Several steps in one go: checked for the dtypes that really meet, then handed to the backend as one chain.

A backend keeps a slice in cache (or in registers) from step to step; results are those of the steps one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from ctfast import backend
from ctfast._call import prepare
from ctfast.arrays import as_images, from_host
from ctfast.errors import CTFastError
from ctfast.ops import edges_of, histogram_of, summary_of
from ctkernels.contract import OPERATIONS, Link


class StepLike(Protocol):
    """What a chain needs to know of a step."""

    operation: str
    dtype: str | None
    values: dict[str, Any]

    @property
    def is_statistic(self) -> bool:
        """Whether it looks at the image without changing it."""


@contextmanager
def naming(number: int, step: StepLike) -> Iterator[None]:
    """Errors inside say which step they are from."""
    try:
        yield
    except CTFastError as error:
        error.add_note(f"in step {number} of the pipeline: {step!r}")
        raise


def fits(steps: Sequence[StepLike], backend_name: str) -> bool:
    """Whether the backend takes these steps as one chain: a histogram must know its range before the batch is seen."""
    known = all(s.operation != "histogram" or s.values["value_range"] is not None for s in steps)
    return known and backend.chain_kernel(backend_name) is not None


def run_chain(image: Any, steps: Sequence[StepLike], backend_name: str) -> tuple[Any, dict[str, Any]]:
    """The image after the last step, and the statistics by operation."""
    with naming(1, steps[0]):
        images = as_images(image)
    batch = images.batch
    dtype = batch.dtype
    links: list[Link] = []
    for number, step in enumerate(steps, 1):
        with naming(number, step):
            prepared = prepare(step.operation, dtype, step.values, backend_name=backend_name, dtype=step.dtype)
            values = prepared.values
            if step.operation == "histogram":
                values = {"edges": edges_of(dtype, values["bins"], values["value_range"])}
        links.append(Link(step.operation, None if step.is_statistic else prepared.dtype, values))
        dtype = dtype if step.is_statistic else prepared.dtype
    makes_image = any(not link.is_statistic for link in links)
    out = np.empty(batch.shape, dtype) if makes_image else None
    rows = {link.operation: _rows(link, batch.shape) for link in links if link.is_statistic}
    run = backend.chain_kernel(backend_name)
    assert run is not None, "fits() was not asked"
    run(batch, out, links, list(rows.values()))
    found: dict[str, Any] = {}
    for link in links:
        if link.operation == "histogram":
            found["histogram"] = histogram_of(rows["histogram"], link.values["edges"], images)
        elif link.operation == "summary":
            found["summary"] = summary_of(rows["summary"], link.values["percentiles"], images)
    result = image if out is None else from_host(out.reshape(images.shape), images.kind)
    return result, found


def _rows(link: Link, shape: tuple[int, int, int]) -> np.ndarray:
    operation = OPERATIONS[link.operation]
    return np.empty(operation.result_shape(shape, link.values), operation.out_dtypes[0])
