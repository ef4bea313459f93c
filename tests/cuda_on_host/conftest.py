"""The machine's own tests."""

from __future__ import annotations

from typing import Any

from tests.cuda_on_host import counts
from tests.cuda_on_host.fixture import host_gpu as host_gpu


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts.report(terminalreporter)
