"""Several steps in one go: checked for the dtypes that really meet, then handed to the backend as one chain.

A backend keeps a slice in cache (or in registers) from step to step; results are those of the steps one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np

from ctfast import backend
from ctfast.dispatch.arrays import Images, from_host
from ctfast.dispatch.call import prepare
from ctfast.dispatch.transfer import gpu
from ctfast.errors import CTFastError
from ctfast.ops import edges_of, histogram_of, summary_of
from ctkernels.contract import OPERATIONS, Link


class StepLike(Protocol):
    """What a chain needs to know of a step."""

    operation: str
    dtype: str | None
    params: dict[str, Any]

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
    known = all(s.operation != "histogram" or s.params["value_range"] is not None for s in steps)
    return known and backend.chain_kernel(backend_name) is not None


class Plan(NamedTuple):
    """Steps checked for an image dtype."""

    links: list[Link]
    dtype: np.dtype[Any]
    """Of the image after the last link."""
    makes_image: bool
    """Whether any link changes the image."""

    def rows(self, shape: tuple[int, int, int], link: Link) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of what a statistic writes for a batch of this shape."""
        operation = OPERATIONS[link.operation]
        return operation.result_shape(shape, link.params), operation.out_dtypes[0]

    @property
    def statistics(self) -> list[Link]:
        """The links that look at the image without changing it."""
        return [link for link in self.links if link.is_statistic]


def plan(dtype: np.dtype[Any], steps: Sequence[StepLike], chosen: str) -> Plan:
    """Check the steps for the dtypes that really meet."""
    links: list[Link] = []
    for number, step in enumerate(steps, 1):
        with naming(number, step):
            prepared = prepare(step.operation, dtype, step.params, chosen=chosen, dtype=step.dtype)
            params = prepared.params
            if step.operation == "histogram":
                params = {"edges": edges_of(dtype, params["bins"], params["value_range"])}
        links.append(Link(step.operation, None if step.is_statistic else prepared.dtype, params))
        dtype = dtype if step.is_statistic else prepared.dtype
    return Plan(links, dtype, any(not link.is_statistic for link in links))


def run_chain(image: Any, images: Images, steps: Sequence[StepLike], chosen: str) -> tuple[Any, dict[str, Any]]:
    """The image after the last step, and the statistics by operation."""
    batch = images.batch
    links, dtype, makes_image = the_plan = plan(batch.dtype, steps, chosen)
    xp: Any = np if images.device is None else gpu()
    out = xp.empty(batch.shape, dtype) if makes_image else None
    rows = [xp.empty(*the_plan.rows(batch.shape, link)) for link in the_plan.statistics]
    run = backend.chain_kernel(chosen)
    assert run is not None, "fits() was not asked"
    run(batch, out, links, rows)
    result = image if out is None else from_host(out.reshape(images.shape), images.kind)
    return result, found(the_plan, rows, images)


def found(the_plan: Plan, rows: Sequence[Any], images: Images) -> dict[str, Any]:
    """The rows of a plan's statistics as the caller of ``images`` gets them, by operation."""
    results: dict[str, Any] = {}
    for link, some in zip(the_plan.statistics, rows, strict=True):
        if link.operation == "histogram":
            results["histogram"] = histogram_of(some, link.params["edges"], images)
        else:
            results["summary"] = summary_of(some, link.params["percentiles"], images)
    return results
