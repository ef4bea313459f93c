"""Compiles ahead on the second core what the tests will ask for, while they run: nine tenths of their time is g++."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from ctkernels.gpu._core import geometry, source
from tests.cuda_on_host import builder, nvrtc
from tests.gpu import mutations

_stop = threading.Event()


def _units(variant: str) -> Iterator[Callable[[], object]]:
    for unit in geometry.all_units():
        values = unit.defines_map()
        large = int(values.get("CTK_ROWS", 1)) * int(values.get("CTK_COLUMNS", 1)) > 25
        if large or (values.get("CTK_LANES") == 1 and "short" in str(values.get("CTK_PIXEL"))):
            continue  # few tests run these, on the same core
        text = source.source(unit.name, values)
        yield lambda text=text: builder.build(text, variant)  # type: ignore[misc]


def _machine_code() -> Iterator[Callable[[], object]]:
    for number, unit in enumerate(geometry.all_units()):
        text = source.source(unit.name, unit.defines_map())
        architecture = nvrtc.ARCHITECTURES[number % len(nvrtc.ARCHITECTURES)]
        yield lambda text=text, a=architecture: nvrtc.compile_unit(text, a, source.OPTIONS)  # type: ignore[misc]


def _mutants() -> Iterator[Callable[[], object]]:
    first = {}
    for unit in geometry.all_units():
        if "short" in dict(unit.defines).values():
            first.setdefault(unit.name, unit)
    for mutant in reversed(mutations.everything()):  # the tests begin at the other end
        unit = first[mutant.unit]
        text = source.source(unit.name, unit.defines_map())
        plain = mutations.original(mutant.unit)
        if plain in text:  # not where a network is filled in
            text = text.replace(plain, mutant.source)
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
