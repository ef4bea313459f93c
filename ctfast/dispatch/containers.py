"""Arrays that carry more than pixels: recognised here, taken apart and put together again in ``ctfast.embed``.

A class is known by its name and its library's, so nothing is imported to ask; the module that serves it is imported
when the first of its kind comes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from ctfast.results import Histogram, PipelineResult, Summary
from ctkernels.contract import OPERATIONS

_HOMES: Final = {
    ("SimpleITK", "Image"): "simpleitk_images",
    ("dask", "Array"): "dask_arrays",
    ("jax", "Tracer"): "jax_calls",
    ("nibabel", "SpatialImage"): "nibabel_images",
    ("numpy", "MaskedArray"): "masked_arrays",
    ("torch", "FakeTensor"): "torch_ops",
    ("torch", "FunctionalTensor"): "torch_ops",
    ("torch", "Tensor"): "torch_subclasses",
    ("xarray", "DataArray"): "xarray_arrays",
    ("xarray", "Dataset"): "xarray_arrays",
    ("zarr", "Array"): "zarr_arrays",
}
_PLAIN: Final = {("torch", "Tensor"), ("torch", "Parameter")}


class Call(NamedTuple):
    """One operation as it was asked for."""

    operation: str
    params: Mapping[str, Any]
    dtype: Any = None
    """``dtype=`` of the caller."""


@dataclass(frozen=True)
class Task:
    """What is to be done to the array in a container."""

    run: Callable[..., Any]
    """Takes an array, and ``out=`` where ``writes``."""
    calls: tuple[Call, ...]
    backend: str | None = None
    """``backend=`` of the caller."""
    writes: bool = False
    """Whether it takes ``out=``."""
    axes: int = 2
    """How many trailing axes belong together: 3 where volumes are filtered."""
    named: bool = False
    """Whether the caller said which axes; then it is so many of them, wherever they are, and
    only ``run`` knows which: ``calls`` says nothing of it."""

    @property
    def operations(self) -> list[str]:
        """Their names."""
        return [call.operation for call in self.calls]

    @property
    def keeps_units(self) -> bool:
        """Whether the result is in the units of the input."""
        return all(OPERATIONS[name].units in ("keeps", "statistic") for name in self.operations)

    @property
    def statistics(self) -> list[str]:
        """Those of its operations whose result is numbers."""
        return [name for name in self.operations if OPERATIONS[name].is_statistic]

    def kinds(self) -> set[str]:
        """Of its operations: pointwise, range, filter, statistic."""
        return {OPERATIONS[name].kind for name in self.operations}

    def image(self, array: Any) -> Any:
        """The image that it makes of an array, without what a pipeline's statistics saw."""
        result = self.run(array)
        return result.image if isinstance(result, PipelineResult) else result


Adapter = Callable[[Task, Any, Any], Any]
"""Takes a task, a container and the caller's ``out=`` or None."""


def container(x: Any) -> Adapter | None:
    """What serves ``x``, or None where it is an array and nothing more."""
    cls: Any = type(x)
    if cls is np.ndarray:
        return None
    if cls.__module__ == "torch" or hasattr(x, "requires_grad"):
        # Gradients asked for, tangents, and being one of many under torch.vmap show in no class of their own.
        torch = sys.modules["torch"]
        asks = getattr(torch._C, "_functorch", None)
        if (
            x.requires_grad
            or (asks is not None and asks.is_functorch_wrapped_tensor(x))
            or torch.autograd.forward_ad.unpack_dual(x).tangent is not None
        ):
            return _imported("torch_ops")
    return _adapter(cls)


@lru_cache(maxsize=256)
def _adapter(cls: Any) -> Adapter | None:
    names = [(base.__module__.partition(".")[0], base.__name__) for base in cls.__mro__]
    if names[0] in _PLAIN:
        return None
    home = next((_HOMES[name] for name in names if name in _HOMES), None)
    if home is None:
        return None
    return _imported(home)


def _imported(home: str) -> Adapter:
    adapter: Adapter = importlib.import_module(f"ctfast.embed.{home}").apply
    return adapter


def placed(apply: Adapter, x: Any, where: Any) -> Any:
    """A mask for the container ``x``, with its axes as those of ``x``; refused where it lies elsewhere."""
    place = getattr(sys.modules[apply.__module__], "placed", None)
    return where if place is None else place(x, where)


def put_back(result: Any, wrap: Callable[[Any], Any]) -> Any:
    """A result with its image back in a container; what statistics saw is numbers and stays so."""
    if isinstance(result, Histogram | Summary):
        return result
    if isinstance(result, PipelineResult):
        return replace(result, image=wrap(result.image))
    return wrap(result)
