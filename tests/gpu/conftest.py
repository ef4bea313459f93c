"""The GPU backend without a GPU: fixtures, and what was counted, said at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cuda_on_host import builder
from tests.cuda_on_host.install import standin_for_cupy
from tests.cuda_on_host.simulation import Simulation
from tests.gpu import prefetch
from tests.gpu.counts import NO_COMPILER, counted

HERE = Path(__file__).parent


@pytest.fixture
def host_gpu() -> Iterator[Simulation]:
    """``import cupy`` gives the stand-in whose kernels run on the CPU. Settings: attributes of what is given."""
    if builder.compiler() is None:
        pytest.skip(NO_COMPILER)
    with standin_for_cupy() as sim:
        yield sim
        counted["launches on the host"] += len(sim.launches)


def pytest_collection_finish(session: pytest.Session) -> None:
    names = {item.path.stem for item in session.items if item.path.parent == HERE}
    if len(session.items) > 30 and names:  # one test alone compiles what it needs
        prefetch.start(names)


def pytest_sessionfinish() -> None:
    prefetch.stop()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not counted:
        return
    terminalreporter.section("GPU kernels without a GPU")
    for what, number in sorted(counted.items()):
        terminalreporter.line(f"{what}: {number}")
