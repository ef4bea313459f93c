"""``cupy.RawModule`` and its kernels, compiled by g++ and run by the host runtime."""

from __future__ import annotations

from math import prod
from typing import Any

from tests.cuda_on_host import arguments, runtime
from tests.cuda_on_host.builder import HostBuildError
from tests.cuda_on_host.errors import CompileException, CUDADriverError
from tests.cuda_on_host.simulation import sim
from tests.cuda_on_host.standin import work
from tests.cuda_on_host.standin.arrays import ndarray
from tests.cuda_on_host.standin.streams import capturing


class RawModule:
    """The source of a unit. Compiled when a function is asked for, as CuPy does."""

    def __init__(
        self, code: str | None = None, *, path: Any = None, options: Any = (), backend: str = "nvrtc", **more: Any
    ):
        if code is None or path is not None or more:
            raise runtime.LaunchError(f"RawModule takes code=, options= and backend= here, not {['path', *more]}")
        if backend != "nvrtc" or not isinstance(options, tuple):
            raise runtime.LaunchError(f"backend={backend!r} options={options!r}: 'nvrtc' and a tuple are needed")
        self.code, self.options = sim.edit(code) if sim.edit else code, options
        self._functions: dict[str, RawKernel] = {}

    def compile(self, log_stream: Any = None) -> None:
        """Compile now."""
        self.unit()

    def unit(self) -> runtime.Unit:
        """The compiled unit in the variant of the moment."""
        try:
            return runtime.unit(self.code, sim.variant)
        except HostBuildError as error:
            raise CompileException(str(error)) from error

    def get_function(self, name: str) -> RawKernel:
        """A kernel by its name."""
        if capturing():  # loading it allocates and may wait: no promise that CUDA allows it here
            raise CUDADriverError(900)
        if name not in self.unit().kernels:
            raise CUDADriverError(500)
        return self._functions.setdefault(name, RawKernel(self, name))


class RawKernel:
    """One kernel. Called as ``kernel(grid, block, args, shared_mem=...)``."""

    def __init__(self, module: RawModule, name: str) -> None:
        self.module, self.name = module, name
        self.max_dynamic_shared_size_bytes = sim.shared_per_block

    @property
    def attributes(self) -> dict[str, int]:
        """What CuPy gives of ``cuFuncGetAttribute``."""
        kernel = self.module.unit().kernels[self.name]
        return {
            "max_threads_per_block": kernel.bound,
            "shared_size_bytes": kernel.unit.static_shared,
            "max_dynamic_shared_size_bytes": self.max_dynamic_shared_size_bytes,
        }

    @property
    def max_threads_per_block(self) -> int:
        """The launch bound."""
        return self.attributes["max_threads_per_block"]

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0, **more: Any) -> None:
        if more or not isinstance(args, tuple):
            raise runtime.LaunchError(f"{self.name}: args as a tuple and no {list(more)}")
        grid3, block3 = _three(grid), _three(block)
        kernel = self.module.unit().kernels[self.name]
        self._check_sizes(kernel, grid3, block3, shared_mem)
        packed = arguments.pack(self.name, kernel.arguments, args, lambda v: isinstance(v, ndarray), sim.alive)
        arrays = [a for a in args if isinstance(a, ndarray)]

        def run() -> None:
            launched = kernel.launch(grid3, block3, packed, shared_mem, sim.options(prod(grid3)))
            sim.check_guards(self.name)
            sim.launches.append(launched)

        work.submit(f"launch of {self.name}", run, arrays)

    def _check_sizes(self, kernel: runtime.Kernel, grid: Any, block: Any, shared: int) -> None:
        threads = block[0] * block[1] * block[2]
        limits = all(1 <= n <= most for n, most in zip(grid, runtime.MAX_GRID, strict=True))
        static = kernel.unit.static_shared
        wrong = (
            not limits
            or not 1 <= threads <= min(kernel.bound, runtime.MAX_THREADS)
            or block[2] > 64
            or shared > max(self.max_dynamic_shared_size_bytes, sim.shared_per_block - static)
            or shared + static > sim.shared_optin
            or not isinstance(shared, int)
        )
        if wrong:
            raise CUDADriverError(1)


def _three(size: Any) -> tuple[int, int, int]:
    if not isinstance(size, tuple) or not 1 <= len(size) <= 3:
        raise runtime.LaunchError(f"grid or block {size!r}: a tuple of one to three ints is needed")
    if not all(type(n) is int for n in size):
        raise runtime.LaunchError(f"grid or block {size!r}: Python ints are needed")
    return (*size, 1, 1)[:3]  # type: ignore[return-value]
