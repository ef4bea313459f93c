"""Every operation, dtype, mode and shape on the host build of the real kernels, through the real launchers."""

from __future__ import annotations

import itertools

import pytest

from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.gpu_cases import Case, cases, check, pictures, run


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_equals_the_cpu(host_gpu: Simulation, name: str, dtype: str) -> None:
    seeds = itertools.cycle(range(4))
    for case in cases(name, dtype):
        host_gpu.seed = next(seeds)
        check(case, run(case))
        counted["cases executed on the host"] += 1


@pytest.mark.parametrize("variant", ["plain", "checked"])
@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_pixels_beyond_a_range_of_as_many_values_as_bins(host_gpu: Simulation, dtype: str, variant: str) -> None:
    """A value is then its own bin, as long as it is inside."""
    host_gpu.variant = variant
    for params in ({"value_range": (0, 255)}, {"nbins": 4096, "value_range": (50, 4145)}):
        case = Case("clahe", pictures((2, 33, 40), dtype)["extreme"], params, "extreme")
        check(case, run(case))
        counted["cases executed on the host"] += 1


SMALLER = {
    "median_filter": [{"size": 3}, {"size": 5, "mode": "wrap"}, {"size": 31}],
    "gaussian_filter": [{"sigma": 2.0}, {"sigma": 30.0, "mode": "mirror"}],
    "clahe": [{}, {"nbins": 4096, "tile_grid": (2, 2)}],
    "histogram": [{"bins": 17_000, "value_range": (-1024, 3071)}],
}
"""Operations whose launches ask what the device is (``geometry.Limits``), on both sides of what an old one has."""


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("name", SMALLER)
def test_equals_the_cpu_on_the_oldest_device(host_gpu: Simulation, name: str, dtype: str) -> None:
    host_gpu.compute_capability, host_gpu.shared_optin = "75", 64 * 1024
    shape = (1, 262, 262) if name == "histogram" else (2, 33, 40)
    for values in SMALLER[name]:
        case = Case(name, pictures(shape, dtype)["values"], values, "values")
        check(case, run(case))
        counted["cases executed on the host"] += 1
