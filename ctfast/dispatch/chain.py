"""Several steps in one go: checked for the dtypes that really meet, then handed to the backend as one chain.

A backend keeps a slice in cache (or in registers) from step to step; results are those of the steps one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ctfast import backend
from ctfast.dispatch.arrays import Images, as_images, as_tall, from_host, with_channel
from ctfast.dispatch.call import call, dispatched
from ctfast.dispatch.checks import check_reach
from ctfast.dispatch.containers import Call, Task, container
from ctfast.dispatch.exact_casts import as_taken, restored, takes_casts
from ctfast.dispatch.named_axes import checked, moved
from ctfast.dispatch.prepared import prepare
from ctfast.dispatch.statistics import RESULTS, kernel_params, needs_all_pixels, statistic
from ctfast.dispatch.steps import Step, naming_step
from ctfast.dispatch.transfer import gpu
from ctfast.errors import ArgumentError
from ctfast.memory import empty
from ctfast.results import PipelineResult
from ctkernels.contract import OPERATIONS, SAME, Link


class CheckedChain(NamedTuple):
    """Steps checked for an image dtype."""

    links: list[Link]
    dtype: np.dtype[Any]
    """Of the image after the last link."""
    makes_image: bool
    """Whether any link changes the image."""

    axes: list[int]
    """Of each link, how many trailing axes of the image belong together."""

    @property
    def statistics(self) -> list[Link]:
        """The links that look at the image without changing it."""
        return [link for link in self.links if link.is_statistic]

    def rows(self, shape: tuple[int, int, int], link: Link) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of what a statistic writes for a batch of this shape."""
        operation = OPERATIONS[link.operation]
        return operation.result_shape(shape, link.params), operation.out_dtypes[0]

    def seen(self, images: Images) -> list[tuple[Link, Images]]:
        """Each statistic, and the images as it takes them."""
        pairs = zip(self.links, self.axes, strict=True)
        return [(link, as_tall(images) if n == 3 else images) for link, n in pairs if link.is_statistic]

    def results(self, rows: Sequence[Any], images: Images) -> dict[str, Any]:
        """The rows that its statistics wrote, as the caller of ``images`` gets them, by operation."""
        pairs = zip(self.seen(images), rows, strict=True)
        return {link.operation: RESULTS[link.operation](some, link.params, seen) for (link, seen), some in pairs}


def fits(steps: Sequence[Step], backend_name: str) -> bool:
    """Whether the backend takes these steps as one chain, slice by slice.

    A histogram must know its range before the batch is seen, and a step along three axes sees several slices.
    """
    whole = waits_for_pixels(steps) or axes_of(steps) == 3
    return not whole and backend.chain_kernel(backend_name) is not None


def axes_of(steps: Sequence[Step]) -> int:
    """How many trailing axes of an image belong together: 3 if any step filters volumes, else 2."""
    return max(step.axes for step in steps)


def _splits(steps: Sequence[Step]) -> bool:
    return axes_of(steps) == 2 and not waits_for_pixels(steps)


def waits_for_pixels(steps: Sequence[Step]) -> bool:
    """Whether a step must see the whole batch before it begins."""
    return any(needs_all_pixels(step.operation, step.params) for step in steps)


def check_chain(dtype: np.dtype[Any], steps: Sequence[Step], chosen: str) -> CheckedChain:
    """Check the steps for the dtypes that really meet."""
    links: list[Link] = []
    for number, step in enumerate(steps, 1):
        with naming_step(number, step):
            prepared = prepare(step.operation, dtype, step.params, chosen=chosen, dtype=step.dtype)
            params = kernel_params(step.operation, dtype, prepared.params)
        links.append(Link(step.operation, None if step.is_statistic else prepared.dtype, params))
        dtype = dtype if step.is_statistic else prepared.dtype
    makes_image = any(not link.is_statistic for link in links)
    return CheckedChain(links, dtype, makes_image, [step.axes for step in steps])


def check_steps(steps: Sequence[Step], shape: tuple[int, ...]) -> None:
    """Refuse filters of volumes for images, and those that look much further than images of this shape go.

    Raises:
        ArgumentError, ShapeError: say which step.
    """
    for number, step in enumerate(steps, 1):
        with naming_step(number, step):
            check_reach(step.spec, step.spec.halo(step.params), shape)


def run_steps(image: Any, steps: Sequence[Step], backend_name: str | None) -> PipelineResult:
    """Run all steps: as one chain where the backend has one, else one by one."""
    if apply := container(image):
        again = partial(run_steps, steps=steps, backend_name=backend_name)
        return apply(Task(again, _calls(steps), backend_name, axes=axes_of(steps)), image, None)
    with naming_step(1, steps[0]):
        taken = as_taken(image) if all(takes_casts(step.spec) for step in steps) else image
        images = as_images(taken)
    if taken is not image:
        return _in_its_dtype(run_steps(taken, steps, backend_name), steps, image)
    check_steps(steps, images.shape)
    # Taken to the device once and back once, not at every step.
    result: PipelineResult = dispatched(images, backend_name, partial(_run, steps), splits=partial(_splits, steps))
    return replace(result, image=with_channel(result.image, images)) if images.channel else result


def _in_its_dtype(result: PipelineResult, steps: Sequence[Step], image: Any) -> PipelineResult:
    """As steps one by one give it for an image that was cast: in its dtype, unless a step has another."""
    makers = [step.spec for step in steps if not step.is_statistic]
    if not makers:
        return replace(result, image=image)
    return (
        result
        if any(spec.out_dtypes != SAME for spec in makers)
        else replace(result, image=restored(result.image, image))
    )


def _calls(steps: Sequence[Step]) -> tuple[Call, ...]:
    return tuple(Call(step.operation, step.params, step.dtype) for step in steps)


def run_along(run: Callable[[Any], PipelineResult], steps: Sequence[Step], image: Any, axes: Any) -> PipelineResult:
    """``run(image)`` with these axes of the image as its last, and the result in the image's order.

    Raises:
        ArgumentError: no axis numbers, or fewer than a step takes together.
    """
    named = checked(axes)
    if isinstance(named, int):
        raise ArgumentError(f"axes={axes!r}: which axes they are, a tuple of two or three axis numbers, is allowed")
    if (needed := axes_of(steps)) > len(named):
        raise ArgumentError(f"axes={axes!r}: a step takes {needed} axes together, (planes, rows, columns)")
    result: PipelineResult = moved(run, image, named, _calls(steps))
    return result


def _run(steps: Sequence[Step], images: Images, chosen: str, _: Any) -> PipelineResult:
    return (_as_chain if fits(steps, chosen) else _one_by_one)(steps, images, chosen)


def _as_chain(steps: Sequence[Step], images: Images, chosen: str) -> PipelineResult:
    batch = images.batch
    chain = check_chain(batch.dtype, steps, chosen)
    xp: Any = np if images.device is None else gpu()
    out = (empty if xp is np else xp.empty)(batch.shape, chain.dtype) if chain.makes_image else None
    rows = [xp.empty(*chain.rows(batch.shape, link)) for link in chain.statistics]
    run = backend.chain_kernel(chosen)
    assert run is not None, "fits() was not asked"
    run(batch, out, chain.links, rows)
    image = images.given if out is None else from_host(out.reshape(images.shape), images.kind)
    return PipelineResult(image, **chain.results(rows, images))


def _one_by_one(steps: Sequence[Step], images: Images, chosen: str) -> PipelineResult:
    image, statistics = images.given, {}
    for number, step in enumerate(steps, 1):
        with naming_step(number, step):
            if step.is_statistic:
                statistics[step.operation] = statistic(step.operation, image, step.params, backend_name=chosen)
            else:
                image = call(step.operation, image, step.params, dtype=step.dtype, backend_name=chosen)
    return PipelineResult(image, **statistics)
