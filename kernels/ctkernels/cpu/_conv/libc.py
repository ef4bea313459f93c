"""What native code needs to be called by XLA and to call it back: structures by offset, atomics, libc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as numba_intrinsic

from ctkernels.cpu._core.vectors import I32, I64, intrinsic, whole

WORKERS: Final = {4: "ctkernels_convolution_worker_f32", 8: "ctkernels_convolution_worker_f64"}
"""Symbols of the functions that XLA's threads run, by bytes of a number; the linker must know them before code that
names them is loaded."""

WRONG_COUNT, WRONG_TYPE, WRONG_SHAPE, WRONG_MEMORY = range(4)
MESSAGES: Final = (
    "ctfast convolution: wrong number of arguments or results",
    "ctfast convolution: an array of the wrong type or number of axes; float32 or float64 throughout, argmax uint8, "
    "x (N, H, W, C), kernel (3, 3, C, F), bias (F,)",
    "ctfast convolution: shapes do not fit; x (N, H, W, C) with H and W of at least 4, kernel (3, 3, C, F), bias (F,), "
    "results (N, (H-2)//2, (W-2)//2, F)",
    "ctfast convolution: not enough memory for scratch",
)
"""What XLA is told, by the numbers above."""


@intrinsic
def word32(typing, address, offset):
    """The int32 at ``offset`` bytes."""

    def codegen(context, builder, signature, args):
        address = builder.inttoptr(builder.add(args[0], args[1]), I32.as_pointer())
        return builder.sext(builder.load(address), I64)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def set_word32(typing, address, offset, value):
    """Write the int32 at ``offset`` bytes."""

    def codegen(context, builder, signature, args):
        address = builder.inttoptr(builder.add(args[0], args[1]), I32.as_pointer())
        builder.store(builder.trunc(args[2], I32), address)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def fetch_add(typing, address, index, value):
    """Add to the int64 number ``index`` after an address, atomically; what it was."""

    def codegen(context, builder, signature, args):
        address = builder.inttoptr(builder.add(args[0], builder.mul(args[1], whole(8))), I64.as_pointer())
        # The strongest order: tasks are long, and what a helper wrote must be seen when it has counted itself done.
        return builder.atomic_rmw("add", address, args[2], "seq_cst")

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def on_stack(typing):
    """Address of 8 words that live as long as the calling function runs."""

    def codegen(context, builder, signature, args):
        # In the function's first block, whatever block this is: in a loop the stack would grow.
        return builder.ptrtoint(cgutils.alloca_once(builder, ir.ArrayType(I64, 8)), I64)

    return types.int64(), codegen


@intrinsic
def call(typing, function, argument):
    """Call a C function of one pointer, given by address, that returns a pointer or nothing."""

    def codegen(context, builder, signature, args):
        return builder.call(builder.inttoptr(args[0], ir.FunctionType(I64, [I64]).as_pointer()), [args[1]])

    return types.int64(types.int64, types.int64), codegen


def _libc(builder, name: str, result, *arguments):
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@intrinsic
def allocate(typing, size):
    """``malloc``."""

    def codegen(context, builder, signature, args):
        return _libc(builder, "malloc", I64, args[0])

    return types.int64(types.int64), codegen


@intrinsic
def release(typing, address):
    """``free``."""

    def codegen(context, builder, signature, args):
        _libc(builder, "free", ir.VoidType(), args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def sched_yield(typing):
    """``sched_yield``."""

    def codegen(context, builder, signature, args):
        _libc(builder, "sched_yield", I32)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def worker_address(typing, kind):
    """Where the function that ``WORKERS`` names is."""

    def codegen(context, builder, signature, args):
        # Declared by name and found by the linker: the worker runs the tasks of all three handlers, whose code would
        # otherwise be compiled into each of them again.
        function = ir.FunctionType(ir.VoidType(), [I64])
        name = WORKERS[kind.bitwidth // 8]
        return builder.ptrtoint(cgutils.get_or_insert_function(builder.module, function, name), I64)

    return types.int64(kind), codegen


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
