"""``cupy.ndarray``: NumPy memory that NumPy itself is refused, as on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.cuda_on_host.simulation import Memory, host_wrote, sim, unsupported
from tests.cuda_on_host.standin import state, work
from tests.cuda_on_host.standin.devices import Device
from tests.cuda_on_host.standin.pinned import is_pinned


class MemoryPointer:
    """``ndarray.data``."""

    def __init__(self, mem: Memory, ptr: int) -> None:
        self.mem, self.ptr, self.device_id = mem, ptr, mem.device_id
        self.device = Device(mem.device_id)


class ndarray:
    """The part of ``cupy.ndarray`` that launchers and the runner use."""

    __array_priority__ = 100

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: MemoryPointer | None = None,
        *,
        host: Any = None,
        memory: Any = None,
    ) -> None:
        if host is None:
            shape = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
            dtype = np.dtype(dtype)
            count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            if memptr is None:
                memory = Memory(count, state.device(), state.stream())
                start = 0
            else:
                memory = memptr.mem
                start = memptr.ptr - memory.ptr
            host = memory.bytes[start : start + count].view(dtype).reshape(shape)
        self._host: np.ndarray = host
        self._memory: Memory = memory

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    ndim = property(lambda self: self._host.ndim)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    device = property(lambda self: Device(self._memory.device_id))

    @property
    def data(self) -> MemoryPointer:
        """Address on the device."""
        offset = self._host.__array_interface__["data"][0] - self._memory.ptr if self.size else 0
        return MemoryPointer(self._memory, self._memory.ptr + offset)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface = dict(self._host.__array_interface__)
        return {**interface, "version": 3, "data": (self.data.ptr, False), "stream": 1}

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self._memory.device_id)

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        """The capsule says that it is host memory, which it is."""
        return self._host.__dlpack__()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def _view(self, host: np.ndarray) -> ndarray:
        return ndarray(None, host=host, memory=self._memory)

    def view(self, dtype: Any) -> ndarray:
        """The same bytes as another dtype."""
        return self._view(self._host.view(dtype))

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        """The same values in another shape; a copy where the strides don't allow it."""
        wanted = self._host.reshape(*shape)
        return self._view(wanted) if np.shares_memory(wanted, self._host) or not self.size else asarray(wanted)

    def ravel(self) -> ndarray:
        """One axis."""
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> ndarray:
        """Axes in another order."""
        return self._view(self._host.transpose(*axes))

    T = property(transpose)

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> ndarray:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(p, int | slice | type(...) | np.integer) or p is None for p in parts):
            raise unsupported("fancy indexing")
        host = self._host[key if isinstance(key, tuple) else (key,)]
        if not isinstance(host, np.ndarray):  # CuPy gives a 0-d array, never a scalar
            host = self._host[(*parts, ...)]
        return self._view(host)

    def __setitem__(self, key: Any, value: Any) -> None:
        target = self[key]
        source = value._host if isinstance(value, ndarray) else value
        if isinstance(source, np.ndarray) and not isinstance(value, ndarray) and source.ndim:
            raise TypeError("CuPy takes no NumPy array here: use set() or cupy.asarray")
        work.submit(
            "setitem", lambda: target._write(source), [target] + ([value] if isinstance(value, ndarray) else [])
        )

    def _write(self, values: Any) -> None:
        self._host[...] = values
        self._wrote()

    def _wrote(self) -> None:
        if sim.variant != "checked" or not self.size:
            return
        if self._host.flags.c_contiguous:
            host_wrote(self.data.ptr, self.nbytes)
        else:
            for part in self._host:
                self._view(np.atleast_1d(part) if part.ndim else self._host)._wrote() if part.ndim else None

    def fill(self, value: Any) -> None:
        """All elements the same."""
        host, address = self._host, self.data.ptr  # a graph must not keep the array itself alive

        def write() -> None:
            host[...] = value
            host_wrote(address, host.nbytes)

        if not host.flags.c_contiguous:
            raise unsupported("fill of a strided array")
        work.submit("fill", write, [self])

    def get(
        self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True
    ) -> np.ndarray:
        """To the host; waits for the stream unless told otherwise."""
        result = np.empty(self.shape, self.dtype) if out is None else out
        if result.shape != self.shape or result.dtype != self.dtype:
            raise ValueError(f"out of shape {result.shape} {result.dtype} for {self.shape} {self.dtype}")

        def copy() -> None:
            result[...] = self._host

        work.submit("get", copy, [self], stream)
        if blocking:
            sim.host_waits.append("get")
            work.drain(stream)
        return result

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """From the host, in the stream's order; from pageable memory the values are taken at once."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not self._host.flags.c_contiguous:
            raise RuntimeError("Cannot set to non-contiguous array")
        source = arr if is_pinned(arr) else arr.copy()
        work.submit("set", lambda: self._write(source), [self], stream)

    def copy(self, order: str = "C") -> ndarray:
        """A new array with the same values."""
        result = ndarray(self.shape, self.dtype)
        work.submit("copy", lambda: result._write(self._host), [self, result])
        return result

    def astype(self, dtype: Any, copy: bool = True) -> ndarray:
        """A new array of another dtype."""
        if np.dtype(dtype) == self.dtype and not copy:
            return self
        result = ndarray(self.shape, dtype)
        work.submit("astype", lambda: result._write(self._host.astype(dtype)), [self, result])
        return result

    def min(self) -> ndarray:
        """Of all elements: an array without axes, which nobody waits for."""
        return self._reduced(np.min)

    def max(self) -> ndarray:
        """Of all elements."""
        return self._reduced(np.max)

    def _reduced(self, of: Any) -> ndarray:
        result = ndarray((), self.dtype)
        work.submit("reduce", lambda: result._write(of(self._host)), [self, result])
        return result

    def clip(self, low: int | float, high: int | float) -> ndarray:
        """Between two numbers."""
        return self._changed("clip", lambda values: values.clip(low, high))

    def round(self) -> ndarray:
        """To whole numbers, half to even."""
        return self._changed("round", np.rint)

    def _changed(self, name: str, of: Any) -> ndarray:
        result = ndarray(self.shape, self.dtype)
        work.submit(name, lambda: result._write(of(self._host)), [self, result])
        return result

    def __truediv__(self, number: int | float) -> ndarray:
        result = ndarray(self.shape, np.float64)
        if self.dtype.kind not in "iu" or not isinstance(number, int | float):
            raise unsupported(f"{self.dtype} / {type(number).__name__}")
        work.submit("divide", lambda: result._write(self._host / number), [self, result])
        return result

    def item(self) -> Any:
        """One value to the host."""
        return self.get().item()

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Fresh memory."""
    return ndarray(shape, dtype)


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """All zero."""
    result = ndarray(shape, dtype)
    result.fill(0)
    return result


def asarray(a: Any, dtype: Any = None, order: Any = None) -> ndarray:
    """On the device: a copy of what is on the host, the same array if it is there already."""
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    values = np.array(a, dtype)
    if not (result := ndarray(values.shape, values.dtype)).size:
        return result
    work.submit("asarray", lambda: result._write(values), [result])
    return result


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """C-contiguous: a copy only where needed."""
    array = asarray(a, dtype)
    return array if array.flags.c_contiguous else array.copy()


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    """On the host."""
    return a.get(stream=stream, out=out, blocking=blocking) if isinstance(a, ndarray) else np.asarray(a)


def shares_memory(a: Any, b: Any) -> bool:
    """Whether two arrays overlap."""
    return bool(np.shares_memory(a._host, b._host))


def may_share_memory(a: Any, b: Any) -> bool:
    """Whether their bounds overlap."""
    return bool(np.may_share_memory(a._host, b._host))
