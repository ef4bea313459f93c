"""What native code needs to be called by XLA and to call it back: structures by offset, atomics, libc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as numba_intrinsic

from ctkernels.cpu._core.vectors import I32, I64, emits, whole

WORKERS: Final = {4: "ctkernels_convolution_worker_f32", 8: "ctkernels_convolution_worker_f64"}
"""Symbols of the functions that XLA's threads run, by bytes of a number; the linker must know them before code that
names them is loaded."""

WRONG_COUNT, WRONG_TYPE, WRONG_SHAPE, WRONG_MEMORY, WRONG_DENSE, WRONG_ADAM, WRONG_DENSE_GRADIENT = range(7)
MESSAGES: Final = (
    "ctfast convolution: wrong number of arguments or results",
    "ctfast convolution: an array of the wrong type or number of axes; float32 or float64 throughout, argmax uint8, "
    "x (N, H, W, C), kernel (3, 3, C, F), bias (F,)",
    "ctfast convolution: shapes do not fit; x (N, H, W, C) with H and W of at least 4, kernel (3, 3, C, F), bias (F,), "
    "results (N, (H-2)//2, (W-2)//2, F)",
    "ctfast convolution: not enough memory for scratch",
    "ctfast dense layer: x (N, K) and kernel (K, M) of float32 or float64 are needed (kernel may be bfloat16 or int8 "
    "beside float32), a result (N, M), and M a multiple of 32",
    "ctfast Adam: numbers, then gradients, first moments, second moments and weights of the same sizes are needed, all "
    "float32 or float64, and three results an array",
    "ctfast dense layer's gradients: kernel (K, M) and gradient (N, M) to (N, K), or x (N, K) and gradient (N, M) to "
    "(K, M), all float32 or float64, and M a multiple of 32",
)
"""What XLA is told, by the numbers above."""


@emits(types.int64)
def word32(b, address, offset):
    """The int32 at ``offset`` bytes."""
    address = b.inttoptr(b.add(address, offset), I32.as_pointer())
    return b.sext(b.load(address), I64)


@emits()
def set_word32(b, address, offset, value):
    """Write the int32 at ``offset`` bytes."""
    address = b.inttoptr(b.add(address, offset), I32.as_pointer())
    b.store(b.trunc(value, I32), address)


@emits(types.int64)
def fetch_add(b, address, index, value):
    """Add to the int64 number ``index`` after an address, atomically; what it was."""
    address = b.inttoptr(b.add(address, b.mul(index, whole(8))), I64.as_pointer())
    # The strongest order: tasks are long, and what a helper wrote must be seen when it has counted itself done.
    return b.atomic_rmw("add", address, value, "seq_cst")


@emits(types.int64)
def on_stack(b):
    """Address of 8 words that live as long as the calling function runs."""
    # In the function's first block, whatever block this is: in a loop the stack would grow.
    return b.ptrtoint(cgutils.alloca_once(b, ir.ArrayType(I64, 8)), I64)


@emits(types.int64)
def call(b, function, argument):
    """Call a C function of one pointer, given by address, that returns a pointer or nothing."""
    return b.call(b.inttoptr(function, ir.FunctionType(I64, [I64]).as_pointer()), [argument])


def _libc(builder, name: str, result, *arguments):
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@emits(types.int64)
def allocate(b, size):
    """``malloc``."""
    return _libc(b, "malloc", I64, size)


@emits()
def release(b, address):
    """``free``."""
    _libc(b, "free", ir.VoidType(), address)


@emits()
def sched_yield(b):
    """``sched_yield``."""
    _libc(b, "sched_yield", I32)


@emits(types.int64, kinds=1)
def worker_address(b, kind):
    """Where the function that ``WORKERS`` names is."""
    # Declared by name and found by the linker: the worker runs the tasks of all three handlers, whose code would
    # otherwise be compiled into each of them again.
    function = ir.FunctionType(ir.VoidType(), [I64])
    name = WORKERS[kind.bitwidth // 8]
    return b.ptrtoint(cgutils.get_or_insert_function(b.module, function, name), I64)


def _of_literals(function: Callable[..., Any]):
    """An intrinsic that sees the values of constant arguments."""
    return numba_intrinsic(prefer_literal=True)(function)


@_of_literals
def message(typing, number):
    """Address of one of ``MESSAGES``."""

    def codegen(context, builder, signature, args):
        # In the module's own constants: no Python string, no interpreter.
        return builder.ptrtoint(context.insert_const_string(builder.module, MESSAGES[number.literal_value]), I64)

    return types.int64(number), codegen
