"""Puts the stand-in in the place of ``cupy``, and takes it away with everything that was loaded upon it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tests.cuda_on_host import simulation
from tests.cuda_on_host.standin import streams


def _belongs(name: str) -> bool:
    return any(name == root or name.startswith(root + ".") for root in ("cupy", "ctkernels.gpu"))


def _forget_caches() -> None:
    for name in ("ctfast.backend", "ctfast.dispatch.call", "ctfast.dispatch.chain"):
        module = sys.modules.get(name)
        for value in vars(module).values() if module else ():
            clear = getattr(value, "cache_clear", None)
            if clear is not None:
                clear()


def _standin_modules() -> dict[str, ModuleType]:
    from tests.cuda_on_host import standin

    modules: dict[str, Any] = {"cupy": standin, "cupy.cuda": standin.cuda}
    modules.update({f"cupy.cuda.{n}": m for n, m in vars(standin.cuda).items() if isinstance(m, ModuleType)})
    return modules


@contextmanager
def standin_for_cupy(**settings: Any) -> Iterator[simulation.Simulation]:
    """Within it ``import cupy`` gives the stand-in; ``settings`` are fields of ``Simulation``."""
    before = {name: module for name, module in sys.modules.items() if _belongs(name)}
    package = sys.modules.get("ctkernels")
    for name in before:
        del sys.modules[name]
    sys.modules.update(_standin_modules())
    had = package.__dict__.pop("gpu", None) if package else None
    _forget_caches()
    simulation.reset(**settings)
    streams.forget()
    try:
        yield simulation.sim
    finally:
        streams.forget()
        for name in [n for n in sys.modules if _belongs(n)]:
            del sys.modules[name]
        sys.modules.update(before)
        package = sys.modules.get("ctkernels")
        if package is not None:
            package.__dict__.pop("gpu", None)
            if had is not None:
                package.gpu = had  # type: ignore[attr-defined]
        _forget_caches()
