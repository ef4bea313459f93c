"""What a whole call asks of memory, against the least it could: counted on the host, held to ``budgets.json``.

``read`` and ``write``: 32-byte sectors that warps ask for, over the bytes of the input and of the result (border pixels
that two tiles need and tables count every time; a cache may still serve them). ``sectors``: sectors a request over the
sectors that its bytes would fill lying together. ``banks``: shared memory wavefronts over the fewest possible.
``launches``: of one call.

What has to come from memory once, whatever the caches, is held to 1.15 times the ideal.
"""

from __future__ import annotations

import numpy as np
import pytest

from ctkernels.contract import OPERATIONS
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.simulation import Simulation
from tests.gpu import budgets
from tests.gpu.gpu_cases import Case, plainest, prepared, run

SHAPE = (2, 128, 256)
ROWS = {"rank_filter": (1, 16, 256), "percentile_filter": (1, 16, 256)}
"""Of filters that go over each pixel's window once a bit, one pixel as the other: few rows ask for the same a byte."""
VOLUME = (1, 16, 48, 128)
TIMED = {"median_filter": OPERATIONS["median_filter"].examples[0]}
"""Counted as it is timed; by default (3 x 3) so little is done with a tile that bank conflicts come to 1.7."""
VOLUMES = {
    "median_filter": {"size": (3, 3, 3)},
    "gaussian_filter": {"sigma": (1.0, 1.0, 1.0)},
    "clahe": {"tile_grid": (2, 4, 4), "value_range": (0, 255)},
}
MOST = 1.15
"""Of what one launch reads and writes over the least: the borders of tiles are read twice."""


def ct_like(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(1).normal(40, 200, shape).round().clip(-1024, 3071)
    if dtype == "uint8":
        values = (values / 8 + 128).clip(0, 255)
    return (values + 1024 if dtype == "uint16" else values).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_traffic(host_gpu: Simulation, name: str, dtype: str) -> None:
    case = Case(name, ct_like(ROWS.get(name, SHAPE), dtype), dict(TIMED.get(name, plainest(name))), "ct")
    hold(host_gpu, case, f"{name} {dtype}")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("name", VOLUMES)
def test_traffic_of_volumes(host_gpu: Simulation, name: str, dtype: str) -> None:
    hold(host_gpu, Case(name, ct_like(VOLUME, dtype), VOLUMES[name], "ct"), f"{name} of volumes {dtype}")


def hold(host_gpu: Simulation, case: Case, what: str) -> None:
    host_gpu.variant, host_gpu.counters = "checked", True
    run(case)
    host_gpu.launches.clear()
    result = run(case)
    launches = host_gpu.launches
    assert launches
    total = {key: sum(launch.counters[key] for launch in launches) for key in launches[0].counters}
    input_bytes, result_bytes = case.image.nbytes, result.nbytes
    image_result = prepared(case)[1].itemsize * case.image.size == result_bytes
    measured = {
        "read": total["read_sectors"] * 32 / input_bytes,
        "sectors": (total["read_sectors"] + total["write_sectors"])
        / max(total["read_ideal"] + total["write_ideal"], 1),
        "banks": total["shared_wavefronts"] / max(total["shared_ideal"], 1),
        "launches": len(launches),
    }
    if image_result:
        measured["write"] = total["write_sectors"] * 32 / result_bytes
    budgets.hold("traffic", what, {key: round(value, 3) for key, value in measured.items()})
    counted["calls whose memory traffic was counted"] += 1
    if len(launches) == 1 and not budgets.WRITE:
        assert total["unique_read"] <= MOST * input_bytes
        assert total["unique_written"] <= MOST * result_bytes + 4096
        assert measured.get("write", 1) <= MOST
