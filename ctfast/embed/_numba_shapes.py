"""What the filters in compiled code share: images and volumes of an array, borders by number."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any, Final

import numba
from numba.core.errors import TypingError

from ctfast.embed._numba_arguments import constant
from ctkernels.contract import modes_of
from ctkernels.cpu import within_jit

part: Final = numba.njit(inline="always")
"""What stands between an operation and its kernel: put into its caller, because Numba compiles every other function
alone, with the kernel that it calls, and the kernel once more in the caller."""


def borders_of(name: str, mode: Any, axes: int) -> tuple[int, ...]:
    """The border of planes, rows and columns by number; those of images have no planes."""
    words = modes_of(constant(mode, "mode"), axes)
    for word in words:
        if word not in within_jit.BORDERS:
            raise TypingError(f"ctfast.{name}: mode={word!r}: one of {', '.join(within_jit.BORDERS)} is allowed")
    if len(words) != axes:
        raise TypingError(f"ctfast.{name}: mode={mode}: one word, or one for each of {axes} axes, is allowed")
    return tuple(within_jit.BORDERS[word] for word in modes_of(words, 3))


@part
def as_pixels(x):
    return x.reshape((-1, x.shape[-2], x.shape[-1]))


@part
def as_images(x):
    return x.reshape((-1, 1, x.shape[-2], x.shape[-1]))


@part
def as_volumes(x):
    return x.reshape((-1, x.shape[-3], x.shape[-2], x.shape[-1]))
