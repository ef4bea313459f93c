"""Shared fixtures, and the word at the end about what a run could not check."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import zipfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from tests.cuda_on_host import counts

settings.register_profile("ctfast", deadline=None)  # tests never assert times: the first example may compile
settings.load_profile("ctfast")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

_not_run: Counter[str] = Counter()


def _unpacked(name: str, factory: pytest.TempPathFactory) -> Path:
    archive = SHARED_DATA / f"{name}.zip"
    if not archive.exists():
        pytest.skip(f"real data: ../shared/data/{name}.zip is not here")
    folder = factory.mktemp(name)
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def siim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 60 real slices: ``tiff_images/``, ``dicom_dir/``, ``overview.csv``."""
    return _unpacked("siim-dev", tmp_path_factory) / "siim"


@pytest.fixture(scope="session")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unusual real CT files."""
    return _unpacked("awkward-dev", tmp_path_factory) / "awkward"


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Malformed and tricky files with ``manifest.json``."""
    return _unpacked("bad-dev", tmp_path_factory) / "bad"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither this machine's environment nor its `ctfast bench` decides what tests run on."""
    monkeypatch.delenv("CTFAST_BACKEND", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _not_run[report.longrepr[2].removeprefix("Skipped: ")] += 1


def pytest_configure(config: pytest.Config) -> None:
    """Signals as in a user's process: a run in the background ignores Ctrl-C, one of several processes SIGTERM.

    What XLA compiles is kept for the time of the run, for this process and those that it starts. (Processes side by
    side would now and then read a file that JAX is just writing, which is a warning.)
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    folder = tempfile.mkdtemp(prefix="ctfast-tests-jax-")
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Packages and tests, a million objects, stay until the end: the interpreter need not look for garbage there."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(100_000, 50, 50)  # as ``cli.main`` has it


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their length: what stands in them may be the time, and two processes must agree on names."""
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What one of several processes of a run has counted, told to the one that reports."""
    counts.counted.update(getattr(node, "workeroutput", {}).get("counted", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counted"] = dict(counts.counted)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts.report(terminalreporter)
    terminalreporter.section("what this run did not check")
    import ctfast

    gpu = ctfast.backends()["gpu"]
    if not gpu.usable:
        terminalreporter.line(f"the GPU backend: {gpu.reason}")
    for reason, number in _not_run.items():
        terminalreporter.line(f"{number} tests: {reason}")
    if gpu.usable and not _not_run:
        terminalreporter.line("nothing was left out")


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Any]:
    """A scheduler without workers; see ``tests.dask_cluster``."""
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    from tests.dask_cluster import Running

    (tmp_path / "dask").mkdir()
    running = Running(tmp_path / "dask")
    try:
        yield running
    finally:
        running.end()
