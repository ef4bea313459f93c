"""Compiles ahead on the second core what the tests will ask for, while they run: nine tenths of their time is g++."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from ctkernels.gpu._core import source
from tests.cuda_on_host import builder, nvrtc
from tests.gpu import mutations
from tests.gpu.units import Unit, all_units

_stop = threading.Event()


def _units(variant: str) -> Iterator[Callable[[], object]]:
    for unit in all_units():
        if not _rare(unit):
            yield lambda text=unit.text: builder.build(text, variant)  # type: ignore[misc]


def _rare(unit: Unit) -> bool:
    """Few tests run these, on the same core."""
    area = int(unit.defines.get("CTK_ROWS", 1)) * int(unit.defines.get("CTK_COLUMNS", 1))
    return area > 25 or (unit.defines.get("CTK_LANES") == 1 and "short" in str(unit.defines.get("CTK_PIXEL")))


def _machine_code() -> Iterator[Callable[[], object]]:
    for number, unit in enumerate(all_units()):
        architecture = nvrtc.ARCHITECTURES[number % len(nvrtc.ARCHITECTURES)]
        yield lambda text=unit.text, a=architecture: nvrtc.compile_unit(text, a, source.OPTIONS)  # type: ignore[misc]


def _mutants() -> Iterator[Callable[[], object]]:
    planted = {mutant.unit for mutant in mutations.everything()}
    for unit in all_units():
        if unit.name in planted and "short" in unit.defines.values() and not _rare(unit):
            text = mutations.edited(unit.name, unit.text)
            yield lambda text=text: builder.build(text, "checked")  # type: ignore[misc]


def start(names: set[str]) -> None:
    """Begin, for the test modules of these names."""
    work: list[Iterator[Callable[[], object]]] = []
    if builder.compiler() is not None:
        work += [_units("plain")] if "test_host_parity" in names else []
        work += [_units("checked")] if "test_host_races" in names else []
    if nvrtc.library_path() is not None and "test_nvrtc" in names:
        work.append(_machine_code())
    if builder.compiler() is not None and "test_mutants" in names:
        work.append(_mutants())

    def run() -> None:
        for jobs in work:
            for job in jobs:
                if _stop.is_set():
                    return
                with suppress(builder.HostBuildError, nvrtc.NvrtcError):  # the test that asks for it says so
                    job()

    threading.Thread(target=run, daemon=True).start()


def stop() -> None:
    """Leave off after the present job."""
    _stop.set()
