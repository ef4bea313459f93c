"""The GPU backend without a GPU: fixtures, compiling ahead, and what was counted, said at the end of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cuda_on_host import counts
from tests.cuda_on_host.fixture import host_gpu as host_gpu
from tests.gpu import prefetch

HERE = Path(__file__).parent


def pytest_collection_finish(session: pytest.Session) -> None:
    names = {item.path.stem for item in session.items if item.path.parent == HERE}
    if len(session.items) > 30 and names:  # one test alone compiles what it needs
        prefetch.start(names)


def pytest_sessionfinish() -> None:
    prefetch.stop()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts.report(terminalreporter)
