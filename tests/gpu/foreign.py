"""Made-up torch and JAX whose arrays say that they are on a GPU: nothing here has one, and DLPack is what counts."""

from __future__ import annotations

import types
from typing import Any

import numpy as np


class Device:
    """``torch.device``, and JAX's device."""

    def __init__(self, number: int, type_: str = "cuda") -> None:
        self.index, self.type, self.platform = number, type_, "gpu" if type_ == "cuda" else type_


class Foreign:
    """An array on a GPU: NumPy memory with the attributes of torch's and JAX's arrays."""

    def __init__(self, host: np.ndarray, number: int = 0, *, type_: str = "cuda", refuses: Any = None) -> None:
        self.host, self._device, self._refuses = host, Device(number, type_), refuses
        self.asked_with: list[Any] = []
        """The stream that each export was asked to be ready on."""

    shape = property(lambda self: self.host.shape)

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        if self._refuses is not None:
            raise self._refuses
        self.asked_with.append(stream)
        return self.host.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self._device.index)


class Tensor(Foreign):
    """``torch.Tensor``."""

    device = property(lambda self: self._device)
    dtype = property(lambda self: f"torch.{self.host.dtype.name}")

    def cpu(self) -> Tensor:
        return _OnTheCpu(self.host.copy(), type_="cpu", refuses=self._refuses)

    def to(self, device: Device) -> Tensor:
        return Tensor(self.host.copy(), device.index)

    def copy_(self, other: Tensor) -> None:
        self.host[...] = other.host

    def is_neg(self) -> bool:
        return False

    def resolve_neg(self) -> Tensor:
        return self

    def _is_zerotensor(self) -> bool:
        return False


class _OnTheCpu(Tensor):
    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


class Array(Foreign):
    """``jax.Array``."""

    dtype = property(lambda self: self.host.dtype)

    def devices(self) -> set[Device]:
        return {self._device}

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.host.copy()


def _taken(kind: type[Foreign], x: Any) -> Any:
    _, number = x.__dlpack_device__()
    return kind(np.from_dlpack(_OnTheHost(x.__dlpack__(stream=1))), number)


class _OnTheHost:
    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def torch_with(stream: int) -> types.ModuleType:
    """A module ``torch`` whose current stream has this address."""
    module: Any = types.ModuleType("torch")
    module.Tensor = Tensor
    module.from_dlpack = lambda x: _taken(Tensor, x)
    module.from_numpy = lambda x: Tensor(x, type_="cpu")
    module.cuda = types.SimpleNamespace(current_stream=lambda device: types.SimpleNamespace(cuda_stream=stream))
    return module


def jax_module() -> types.ModuleType:
    """A module ``jax`` without 64-bit types."""
    module: Any = types.ModuleType("jax")
    module.Array = Array
    module.config = types.SimpleNamespace(jax_enable_x64=False)
    module.dlpack = types.SimpleNamespace(from_dlpack=lambda x: _taken(Array, x))
    module.device_put = lambda x, device: Array(np.array(x), device.index)
    return module
