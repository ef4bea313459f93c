"""A window of any shape as a constant of compiled code: Numba knows the types of arrays, this type knows the ones."""

# mypy: disable-error-code="misc,no-untyped-call,no-untyped-def,untyped-decorator"
# Numba's classes and decorators have no types.

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.core.imputils import lower_constant
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox
from numpy.typing import NDArray

from ctfast.dispatch.kinds import footprint


class Footprint:
    """``footprint=`` of filters in compiled code, a global of it: ``DISK = Footprint(skimage.morphology.disk(3))``.

    Outside of compiled code it is the array that it was made of.
    """

    def __init__(self, mask: Any) -> None:
        self.mask = footprint("footprint", mask)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.mask, np.uint8 if dtype is None else dtype)


class FootprintType(types.Type):
    """Its type, one for each window."""

    def __init__(self, mask: Any) -> None:
        self.mask = mask
        super().__init__(name=f"Footprint({mask})")


register_model(FootprintType)(models.OpaqueModel)


@typeof_impl.register(Footprint)
def _typeof(value, _):
    return FootprintType(value.mask)


@lower_constant(FootprintType)
def _constant(context, *_):
    return context.get_dummy_value()


@unbox(FootprintType)
def _unboxed(_, __, c):
    return NativeValue(c.context.get_dummy_value())
