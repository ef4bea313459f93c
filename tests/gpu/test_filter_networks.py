"""The networks and the launch shapes of the GPU filters, without compiling anything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ctkernels.contract import IMAGE_DTYPES
from ctkernels.gpu._core import geometry_filters as geometry
from ctkernels.gpu._core.geometry import Plan, ceilings
from ctkernels.gpu._core.median_network import WIDTH, network, network_text, thread_rows

ODD = (1, 3, 5, 7, 9, 11)
MOST_SHARED = {"sm_75": 64 * 1024, "sm_86": 99 * 1024, "sm_90": 227 * 1024}


@pytest.mark.parametrize("size", list(itertools.product(ODD, ODD)))
def test_every_network_gives_medians(size: tuple[int, int]) -> None:
    rows, columns = size
    for height in {thread_rows(rows, columns, 4), thread_rows(rows, columns, 8)}:
        graph, outputs = network(rows, columns, height)
        assert set(outputs) == set(itertools.product(range(height), range(WIDTH)))
        rng = np.random.default_rng(rows * 16 + columns)
        # By the 0-1 principle zeros and ones decide; whole numbers show a wrong rank more often.
        samples = np.concatenate(
            [rng.integers(0, top, (200, height + rows - 1, WIDTH + columns - 1)) for top in (2, 50)]
        )
        values = {}
        for node in graph.needed(list(outputs.values())):
            kind, a, b, (_, shift) = graph.nodes[node]
            if kind == "load":
                values[node] = samples[:, a, shift]
            else:
                values[node] = (np.minimum if kind == "min" else np.maximum)(values[a], values[b])
        for (y, x), node in outputs.items():
            windows = samples[:, y : y + rows, x : x + columns].reshape(len(samples), -1)
            assert np.array_equal(values[node], np.median(windows, axis=1)), (size, height, y, x)


def test_a_network_shares_work() -> None:
    """Minima and maxima a pixel; one window at a time takes 34, 206, 570 and 1246."""
    for size, most in ((3, 17.5), (5, 61), (7, 124), (9, 240), (11, 385)):
        height = thread_rows(size, size, 4)
        graph, outputs = network(size, size, height)
        nodes = graph.needed(list(outputs.values()))
        assert sum(graph.nodes[node].kind != "load" for node in nodes) / len(outputs) <= most


def test_the_text_loads_quads_from_their_boundaries() -> None:
    for columns in ODD:
        for line in network_text(3, columns, 2).splitlines():
            if "CTK_QUAD" in line:
                column = int(line.split(",")[1].split(")")[0])
                assert (column - columns // 2) % WIDTH == 0


def _fits(plan: Plan, shared: int) -> bool:
    threads = plan.block[0] * plan.block[1] * plan.block[2]
    grid = plan.grid[0] < 2**31 and plan.grid[1] <= ceilings().images_a_launch and plan.grid[2] == 1
    return grid and min(plan.grid) >= 1 and threads <= 1024 and plan.shared_bytes <= shared


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("shared", list(MOST_SHARED.values()), ids=list(MOST_SHARED))
def test_launches_stay_within_what_a_device_allows(dtype: str, shared: int) -> None:
    shapes = [(1, 1, 1), (1, 512, 512), (2048, 512, 512), (100_000, 3, 5), (1, 70_000, 70_000), (1, 5_000_000, 3)]
    for shape in shapes:
        for size in ((3, 3), (13, 13), (101, 101), (1, 1001), (1501, 3)):
            for capability in (75, 90):
                assert _fits(geometry.median_plan(shape, size, dtype, capability, shared).launch, shared)
        for radii in ((0, 0), (4, 4), (40, 8), (300, 300)):
            smooth = geometry.smooth_plan(shape, radii, dtype, shared)
            assert geometry.smooth_fits(radii, dtype, shared) == (smooth is not None)
            assert smooth is None or _fits(smooth.launch, shared)
        assert all(_fits(plan, shared) for plan in geometry.smooth_passes(shape))
        for grid, nbins in (((8, 8), 256), ((2, 3), 65536), ((64, 64), 4096)):
            plan = geometry.clahe_plan(shape, grid, nbins, dtype, given_range=False)
            launches = [plan.find_range, plan.tables, plan.blend, *([plan.extents] if plan.extents else [])]
            assert all(_fits(launch, min(shared, 48 * 1024)) for launch in launches)
            assert plan.images >= 1
            assert plan.range_parts <= 32


def test_large_images_read_little_twice() -> None:
    """Pixels of tiles with their borders over pixels, read, with what is written at most 1.15 of the least."""
    smooth = geometry.smooth_plan((256, 512, 512), (4, 4), "int16", MOST_SHARED["sm_90"])
    assert smooth is not None
    columns, rows = smooth.tile
    assert ((columns + 8) * (rows + 8) / (columns * rows) + 1) / 2 <= 1.15
    _, words = geometry.network_plan((256, 512, 512), 2)
    assert (130 * (2 * words + 2) / (128 * 2 * words) + 1) / 2 <= 1.15
