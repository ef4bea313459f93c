"""The kernels through the compiler that a GPU gets: every unit that the launchers can ask for, by the very same string.

Each unit is compiled for one of the architectures in turn, so that a run sees all of them;
``CTFAST_ALL_ARCHITECTURES=1`` compiles every unit for every one.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from ctkernels.gpu._core import source
from tests.cuda_on_host import nvrtc
from tests.cuda_on_host.counts import NO_NVRTC, counted
from tests.gpu import budgets
from tests.gpu.units import all_units

UNITS = all_units()
EVERYWHERE = bool(os.environ.get("CTFAST_ALL_ARCHITECTURES"))


def architectures(number: int) -> tuple[str, ...]:
    allowed = tuple(name for name in nvrtc.ARCHITECTURES if int(name) >= UNITS[number].least_architecture)
    return allowed if EVERYWHERE else (allowed[number % len(allowed)],)


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    if nvrtc.library_path() is None:
        pytest.skip(NO_NVRTC)


@pytest.mark.parametrize("number", range(len(UNITS)), ids=map(str, UNITS))
def test_compiles_without_spilling(number: int) -> None:
    unit = UNITS[number]
    for architecture in architectures(number):
        kernels = nvrtc.compile_unit(unit.text, architecture, source.OPTIONS)
        counted[f"kernels compiled by NVRTC for sm_{architecture}"] += len(kernels)
        for name, takes in kernels.items():
            hold(name, takes, f"sm_{architecture} {unit}")
    counted["units compiled by NVRTC"] += 1


def hold(name: str, takes: nvrtc.Resources, where: str) -> None:
    allowed: dict[str, Any] = budgets.read()["local memory"].get(name, {"bytes": 0})
    assert takes.spill_stores + takes.spill_loads == 0, f"{name} spills registers: {takes} {where}"
    assert takes.stack <= allowed["bytes"], f"{name} has {takes.stack} bytes of local memory a thread: {where}"
    budgets.hold("resources", name, {"registers": takes.registers, "shared": takes.static_shared})


def test_the_compiler_can_refuse() -> None:
    with pytest.raises(nvrtc.NvrtcError, match="undefined"):
        nvrtc.compile_unit('extern "C" __global__ void k(int* x) { x[0] = missing; }', "90")


def test_local_memory_and_spills_are_seen() -> None:
    body = (
        "int a[64]; for (int i = 0; i < 64; i++) a[i] = 0;\n"
        "for (int i = 0; i < 999; i++) a[x[i] & 63] += i;\n"
        "x[0] = a[x[1] & 63];"
    )
    kernels = nvrtc.compile_unit(f'extern "C" __global__ void k(int* x) {{ {body} }}', "90")
    assert kernels["k"].stack >= 256
    limited = 'extern "C" __global__ void __launch_bounds__(1024, 2) k(volatile float* x) {{ float a[96]; {} }}'
    reads = "".join(f"a[{i}] = x[{i} * 7];" for i in range(96))
    writes = "".join(f"x[{i}] = a[{i}] + a[{95 - i}];" for i in range(96))
    kernels = nvrtc.compile_unit(limited.format(reads + writes), "90")
    assert kernels["k"].spill_stores > 0


def test_every_budget_is_of_a_kernel() -> None:
    """What the tests above compiled is found again here."""
    kernels = {
        name
        for number, unit in enumerate(UNITS)
        for name in nvrtc.compile_unit(unit.text, architectures(number)[0], source.OPTIONS)
    }
    assert kernels == set(budgets.read()["resources"])
