"""Chains on the GPU backend: the results of the operations one by one, in fewer launches and in parts of a batch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ctfast.dispatch.checks import check_params
from ctkernels.contract import OPERATIONS, Link
from ctkernels.testing import assert_exact
from tests.cuda_on_host.simulation import Simulation

Array = np.ndarray


def link(operation: str, dtype: str | None = None, **values: Any) -> Link:
    """As ``ctfast`` makes it."""
    spec = OPERATIONS[operation]
    checked = check_params(spec, values)
    if operation == "histogram":
        checked = {"edges": np.histogram_bin_edges(np.empty(0, np.uint8), checked["bins"], checked["value_range"])}
    made = None if spec.kind == "statistic" else np.dtype(dtype or "uint8") if spec.chooses_dtype else None
    return Link(operation, made, checked)


WINDOW = link("window", "uint8", center=40, width=400)
WINDOW16 = link("window", "uint16", center=40, width=400, out_range=(0, 4095))
MEDIAN, GAUSSIAN = link("median_filter", size=3), link("gaussian_filter", sigma=1.0)
CLAHE = link("clahe", tile_grid=(2, 3))
HISTOGRAM = link("histogram", bins=100, value_range=(3, 250))
SUMMARY = link("summary")

CHAINS: dict[str, tuple[Sequence[Link], int]] = {
    "preset": ((WINDOW, MEDIAN, GAUSSIAN, CLAHE, HISTOGRAM), 4),
    "window, Gaussian": ((WINDOW, GAUSSIAN), 1),
    "window of 16 bits, median with a constant border": (
        (WINDOW16, link("median_filter", size=(3, 5), mode="constant", cval=9)),
        1,
    ),
    "window, median too large for a network": ((WINDOW, link("median_filter", size=13)), 2),
    "sigmoid window, median": ((link("window", "uint8", center=40, width=400, function="sigmoid"), MEDIAN), 2),
    "CLAHE, histogram, median": ((WINDOW, CLAHE, HISTOGRAM, MEDIAN), 4),
    "a flat image counted": ((link("window", "uint8", center=9000, width=2), CLAHE, HISTOGRAM), 3),
    "statistics alone": ((SUMMARY,), 0),
    "window to float, Gaussian": ((link("window", "float32", center=40, width=400), GAUSSIAN), 1),
}
"""Name -> links, and launches (0: not looked at)."""


def changed(dtype: np.dtype[Any], step: Link) -> np.dtype[Any]:
    """Dtype of the image after a step."""
    return dtype if step.dtype is None else np.dtype(step.dtype)


def one_by_one(x: Array, links: Sequence[Link]) -> tuple[Array | None, list[Array]]:
    """Each operation of the GPU backend by itself."""
    import cupy

    current, found, image = cupy.asarray(x), [], None
    for step in links:
        spec = OPERATIONS[step.operation]
        dtype = spec.out_dtypes[0] if step.is_statistic else changed(current.dtype, step)
        result = cupy.empty(spec.result_shape(x.shape, step.params), dtype)
        getattr(importlib.import_module(f"ctkernels.gpu.{step.operation}"), step.operation)(
            current, result, **step.params
        )
        if step.is_statistic:
            found.append(cupy.asnumpy(result))
        else:
            current = image = result
    return None if image is None else cupy.asnumpy(image), found


def in_one_go(x: Array, links: Sequence[Link], **options: Any) -> tuple[Array | None, list[Array]]:
    """The chain."""
    import cupy

    from ctkernels.gpu import chain

    dtype, images = x.dtype, False
    rows = []
    for step in links:
        spec = OPERATIONS[step.operation]
        if step.is_statistic:
            rows.append(cupy.empty(spec.result_shape(x.shape, step.params), spec.out_dtypes[0]))
        else:
            dtype, images = changed(dtype, step), True
    out = cupy.empty(x.shape, dtype) if images else None
    chain.run(cupy.asarray(x), out, links, rows, **options)
    return None if out is None else cupy.asnumpy(out), [cupy.asnumpy(row) for row in rows]


def slices(dtype: str, images: int = 3) -> Array:
    """Noise around soft tissue."""
    return np.random.default_rng(5).normal(40, 150, (images, 37, 44)).astype(dtype)


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_gives_what_its_operations_give(host_gpu: Simulation, name: str) -> None:
    links, launches = CHAINS[name]
    x = slices("int16")
    image, found = one_by_one(x, links)
    before = len(host_gpu.launches)
    chained, counted = in_one_go(x, links)
    assert launches == 0 or len(host_gpu.launches) - before == launches
    if image is None:
        assert chained is None
    else:
        assert_exact(chained, image, name)
    for a, b in zip(counted, found, strict=True):
        assert_exact(a, b, name)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_every_image_dtype_goes_through_the_preset(host_gpu: Simulation, dtype: str) -> None:
    links = CHAINS["preset"][0]
    x = np.abs(slices(dtype, 1))
    image, (counts,) = one_by_one(x, links)
    chained, (again,) = in_one_go(x, links)
    assert_exact(chained, image, dtype)
    assert_exact(again, counts, dtype)


def test_a_batch_in_parts_gives_the_same(host_gpu: Simulation) -> None:
    import cupy

    from ctkernels.gpu import chain
    from ctkernels.gpu._core.geometry import lowered

    links = CHAINS["preset"][0]
    x = slices("int16", 5)
    image, (counts,) = in_one_go(x, links)
    before = len(host_gpu.launches)
    with lowered(chain_bytes=2 * x[0].size * 2):
        room = cupy.empty(chain.workspace_bytes(x.shape, x.dtype, links), np.uint8)
        chained, (again,) = in_one_go(x, links, workspace=room)
    assert len(host_gpu.launches) - before == 3 * 4
    assert_exact(chained, image)
    assert_exact(again, counts)


def test_a_last_part_that_needs_more_than_the_others(host_gpu: Simulation) -> None:
    """Of 31 images each is cut in two to find its range, of 32 not."""
    import cupy

    from ctkernels.gpu import chain, normalize
    from ctkernels.gpu._core.geometry import lowered

    links = (link("normalize", "uint8"), MEDIAN)
    x = np.random.default_rng(5).integers(0, 4000, (63, 91, 91), dtype=np.uint16)
    needed = [normalize.workspace_bytes((n, 91, 91), x.dtype, **links[0].params) for n in (31, 32)]
    assert needed[0] > needed[1]
    with lowered(chain_bytes=32 * 91 * 91):
        room = cupy.empty(chain.workspace_bytes(x.shape, x.dtype, links), np.uint8)
        chained, _ = in_one_go(x, links, workspace=room)
    assert_exact(chained, one_by_one(x, links)[0])


def test_too_small_a_workspace_is_refused(host_gpu: Simulation) -> None:
    import cupy

    with pytest.raises(ValueError, match="workspace has 16 bytes"):
        in_one_go(slices("int16"), CHAINS["preset"][0], workspace=cupy.empty(16, np.uint8))


def test_a_gaussian_beyond_shared_memory_after_a_window(host_gpu: Simulation) -> None:
    host_gpu.shared_optin = 48 * 1024
    links = (WINDOW, link("gaussian_filter", sigma=9.0))
    x = slices("int16", 2)
    image, _ = one_by_one(x, links)
    before = len(host_gpu.launches)
    chained, _ = in_one_go(x, links)
    assert len(host_gpu.launches) - before == 3
    assert_exact(chained, image)
