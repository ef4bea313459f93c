"""Puts the stand-in in the place of ``cupy``, and takes it away with everything that was loaded upon it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from tests.cuda_on_host import simulation, standin
from tests.cuda_on_host.standin import pinned, state

# All that this folder knows of the project whose kernels it runs:
USER: Final = ("ctkernels", "gpu")
"""The package, and its part that imports ``cupy``: imported anew inside, so that it finds the stand-in."""
CACHES: Final = (
    "ctfast.backend",
    "ctfast.dispatch.chain",
    *(f"ctfast.dispatch.{name}" for name in ("plain", "prepared", "statistics")),
)
"""Modules with caches that remember which backends and functions there are."""


def _belongs(name: str) -> bool:
    return any(name == root or name.startswith(root + ".") for root in ("cupy", ".".join(USER)))


def _standin_modules() -> dict[str, ModuleType]:
    modules: dict[str, Any] = {"cupy": standin, "cupy.cuda": standin.cuda}
    modules.update({f"cupy.cuda.{n}": m for n, m in vars(standin.cuda).items() if isinstance(m, ModuleType)})
    return modules


def _take_out() -> tuple[dict[str, ModuleType], ModuleType | None]:
    """Everything that belongs to CuPy or stands upon it; also the package's attribute."""
    modules = {name: module for name, module in sys.modules.items() if _belongs(name)}
    for name in modules:
        del sys.modules[name]
    package = sys.modules.get(USER[0])
    return modules, package.__dict__.pop(USER[1], None) if package else None


def _put_back(modules: dict[str, ModuleType], part: ModuleType | None) -> None:
    sys.modules.update(modules)
    package = sys.modules.get(USER[0])
    if package is not None and part is not None:
        setattr(package, USER[1], part)


def _forget() -> None:
    """What was queued or made, and what others remember of it."""
    state.forget()
    pinned.forget()
    for name in CACHES:
        module = sys.modules.get(name)
        for value in vars(module).values() if module else ():
            clear = getattr(value, "cache_clear", None)
            if clear is not None:
                clear()


@contextmanager
def standin_for_cupy(**settings: Any) -> Iterator[simulation.Simulation]:
    """Within it ``import cupy`` gives the stand-in; ``settings`` are fields of ``Simulation``."""
    before = _take_out()
    sys.modules.update(_standin_modules())
    simulation.reset(**settings)
    _forget()
    try:
        yield simulation.sim
    finally:
        _take_out()
        _put_back(*before)
        _forget()
