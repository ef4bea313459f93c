"""Chains on the GPU backend: the results of the operations one by one, in fewer launches and in parts of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ctkernels.contract import OPERATIONS, Link
from ctkernels.testing import assert_exact
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.chains import CHAINS, MEDIAN, WINDOW, Array, changed, link, one_by_one, slices


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


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_gives_what_its_operations_give(host_gpu: Simulation, name: str) -> None:
    links, launches = CHAINS[name]
    x = slices("int16")
    image, statistics = one_by_one(x, links)
    before = len(host_gpu.launches)
    chained, counted = in_one_go(x, links)
    assert launches == 0 or len(host_gpu.launches) - before == launches
    if image is None:
        assert chained is None
    else:
        assert_exact(chained, image, name)
    for a, b in zip(counted, statistics, strict=True):
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
