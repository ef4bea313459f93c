"""The simulated GPU as a fixture: ``from tests.cuda_on_host.fixture import host_gpu`` in a ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cuda_on_host import builder
from tests.cuda_on_host.counts import NO_COMPILER, counted
from tests.cuda_on_host.install import standin_for_cupy
from tests.cuda_on_host.simulation import Simulation


@pytest.fixture
def host_gpu() -> Iterator[Simulation]:
    """``import cupy`` gives the stand-in whose kernels run on the CPU. Settings: attributes of what is given."""
    if builder.compiler() is None:
        pytest.skip(NO_COMPILER)
    with standin_for_cupy() as sim:
        yield sim
        counted["launches on the host"] += len(sim.launches)
