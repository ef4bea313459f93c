"""Which backends there are, which is usable here and why not, and which one a call runs on.

The choice, strongest first: ``backend=``, ``with ctfast.use_backend(...)``, the environment variable
``CTFAST_BACKEND``, then where the array lives. There is never a silent fallback: what can't be had is an
error that says why.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from ctfast.errors import ArgumentError, BackendUnavailableError

NAMES: Final = ("cpu", "gpu", "reference")

_JAX_MEMORY: Final = (
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "XLA_PYTHON_CLIENT_ALLOCATOR",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_CLIENT_MEM_FRACTION",
)

Kernel = Callable[..., None]

_requested: ContextVar[str | None] = ContextVar("ctfast_backend", default=None)


@dataclass(frozen=True)
class BackendStatus:
    """One backend as found on this machine."""

    name: str
    usable: bool
    reason: str
    """What it is, or why it can't be used."""
    remedy: str = ""
    """The command that fixes it, where there is one."""

    def __str__(self) -> str:
        state = "usable" if self.usable else "not usable"
        return f"{self.name}: {state}, {self.reason}" + (f"; {self.remedy}" if self.remedy else "")


def _probe_cpu() -> BackendStatus:
    if importlib.util.find_spec("numba") is None:
        return BackendStatus("cpu", False, "numba is not installed", "pip install numba")
    # Once it is imported, Numba looks at its own setting alone, which a program may have changed. Another thread may
    # be importing it at this moment.
    settings = getattr(sys.modules.get("numba"), "config", None)
    disabled = getattr(settings, "DISABLE_JIT", os.environ.get("NUMBA_DISABLE_JIT"))
    if disabled not in (None, "", "0", 0):
        return BackendStatus(
            "cpu",
            False,
            "NUMBA_DISABLE_JIT (numba.config.DISABLE_JIT) is set, so that nothing is compiled",
            "unset it before Numba is imported, or set CTFAST_BACKEND=reference (slow, plain NumPy)",
        )
    return BackendStatus("cpu", True, "Numba kernels, all cores")


def _probe_gpu() -> BackendStatus:
    probe: Callable[[], tuple[bool, str, str]] = importlib.import_module("ctkernels.gpu").probe
    usable, reason, remedy = probe()
    return BackendStatus("gpu", usable, reason, remedy)


def _probe_reference() -> BackendStatus:
    return BackendStatus("reference", True, "plain NumPy, slow: the meaning of every operation, for checking")


_PROBES: Final = {"cpu": _probe_cpu, "gpu": _probe_gpu, "reference": _probe_reference}


@cache
def status(name: str) -> BackendStatus:
    """The state of one backend; probed once a process."""
    return _PROBES[name]()


def backends() -> dict[str, BackendStatus]:
    """Every backend with whether it is usable here, or why not and what fixes it."""
    return {name: status(name) for name in NAMES}


def check_name(name: str, where: str) -> str:
    """A known backend name, as given in ``where``."""
    if name not in NAMES:
        raise ArgumentError(f"{where}={name!r}: one of {', '.join(NAMES)} (or auto) is allowed")
    return name


def _usable(name: str) -> str:
    state = status(name)
    if not state.usable:
        remedy = f"; {state.remedy}" if state.remedy else ""
        raise BackendUnavailableError(f"backend {name!r} can't be used here: {state.reason}{remedy}")
    return name


@contextmanager
def use_backend(name: str | None) -> Iterator[None]:
    """Run every call inside the ``with`` block on backend ``name`` (this thread or task only); ``None`` means auto.

    Raises:
        ArgumentError: an unknown name.
        BackendUnavailableError: it can't be used here.
    """
    checked = None if name in (None, "auto") else _usable(check_name(str(name), "use_backend"))
    token = _requested.set(checked)
    try:
        yield
    finally:
        _requested.reset(token)


_VARIABLE: Final = "CTFAST_BACKEND"
_environ = os.environ
_variables: Any = getattr(_environ, "_data", None)
_key: Any = _environ.encodekey(_VARIABLE) if isinstance(_variables, dict) else None


def _from_environment() -> str | None:
    # A mapping that is asked for what it lacks raises twice, which takes longer than a small filter's checks (4 us with
    # cold caches). Where the interpreter's own dictionary is at hand, it says at once that nothing is set.
    if _key is not None and os.environ is _environ and _key not in _variables:
        return None
    return os.environ.get(_VARIABLE)


def requested(name: str | None) -> str | None:
    """The backend that a caller, a ``with`` block or the environment asks for; None where nobody does (auto)."""
    where = "backend"
    if name is None or name == "auto":
        name = _requested.get()
    if name is None:
        name, where = _from_environment(), _VARIABLE
    return None if not name or name == "auto" else check_name(name, where)


def select(name: str | None, device: int | None = None) -> str:
    """The usable backend that a call runs on, whose array is on GPU ``device``, or on the host (None)."""
    return _usable(requested(name) or ("cpu" if device is None else "gpu"))


def share_gpu_memory() -> None:
    """Let JAX take GPU memory as it needs it, if it has not started in this process and the user has not said else.

    JAX takes three quarters of a GPU's memory at its start, so that CuPy would find none beside it.
    """
    if not any(name in os.environ for name in _JAX_MEMORY):
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


@cache
def _module(backend: str, operation: str) -> Any:
    if backend == "reference":
        return importlib.import_module("ctkernels.reference")
    if backend == "gpu":
        share_gpu_memory()
    return importlib.import_module(f"ctkernels.{backend}.{operation}")


@cache
def kernel(backend: str, operation: str) -> Kernel:
    """The function of ``backend`` that does ``operation`` (see :mod:`ctkernels.contract`)."""
    function: Kernel = getattr(_module(backend, operation), operation)
    return function


def bound(
    backend: str, operation: str, shape: tuple[int, ...], image: Any, result: Any, params: Mapping[str, Any]
) -> Callable[[Any, Any], None]:
    """``run(x, out)`` of an operation with its parameters, for batches of this shape and these dtypes.

    A kernel's module may have a ``bind`` that does once what does not depend on the pixels.
    """
    bind = getattr(_module(backend, operation), "bind", None)
    if bind is None:
        return partial(kernel(backend, operation), **params)
    run: Callable[[Any, Any], None] = bind(shape, image, result, **params)
    return run


@cache
def chain_kernel(backend: str) -> Kernel | None:
    """The function of ``backend`` that takes a batch through several operations at once; None where it has none."""
    if backend == "reference":
        return None
    if backend == "gpu":
        share_gpu_memory()
    function: Kernel = importlib.import_module(f"ctkernels.{backend}.chain").run
    return function


@cache
def image_chain_kernel() -> Kernel:
    """The CPU's function that makes a function for one image of a kind after the other: ``cpu.chain.image_runner``."""
    function: Kernel = importlib.import_module("ctkernels.cpu.chain").image_runner
    return function


def is_compiled(call: Callable[[], object]) -> bool:
    """Whether the CPU's code for ``call`` is on the disk: it is done on this thread alone, or left where code lacks."""
    core = "ctkernels.cpu._core"
    cache, parallel = (importlib.import_module(f"{core}.{name}") for name in ("cache", "parallel"))
    try:
        with cache.loading_only(), parallel.single_thread():
            call()
    except cache.NotCompiledError:
        return False
    return True


def load_compiler() -> None:
    """Load what compiling takes, most of a second, for processes that are forked from this one."""
    importlib.import_module("ctkernels.cpu._core.kernel").load_compiler()
