"""An array's memory as one row of numbers, of its type or of another.

Numba's ``reshape`` and ``view`` look at shapes and layouts at run time, with errors to tell: 60 to 200 ms to compile in
each function, and for each pair of types.
"""

from __future__ import annotations

from numba.core import cgutils, types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic


def _row(array, number):
    """Signature and code of an intrinsic that gives the memory of ``array`` as a row of numbers of type ``number``."""
    if not isinstance(array, types.Array) or array.layout != "C":
        return None
    result = array.copy(dtype=number, ndim=1)

    def emit(context, builder, signature, arguments):
        source = context.make_array(array)(context, builder, arguments[0])
        made = context.make_array(result)(context, builder)
        word = context.get_value_type(types.intp)
        data_type = context.get_data_type(number)
        before, after = (word(context.get_abi_sizeof(context.get_data_type(t))) for t in (array.dtype, number))
        count = builder.udiv(builder.mul(source.nitems, before), after)
        made.data = builder.bitcast(source.data, data_type.as_pointer())
        made.shape = cgutils.pack_array(builder, [count])
        made.strides = cgutils.pack_array(builder, [after])
        made.nitems, made.itemsize = count, after
        made.meminfo, made.parent = source.meminfo, source.parent
        return impl_ret_borrowed(context, builder, result, made._getvalue())

    return result, emit


@intrinsic
def viewed(typing, array, number):
    """The memory of a C-contiguous array as a row of numbers of the type of ``number``; the rest is left out."""
    made = _row(array, number)
    return made and (made[0](array, number), made[1])


@intrinsic
def flat(typing, array):
    """A C-contiguous array as one row."""
    made = _row(array, array.dtype)
    return made and (made[0](array), made[1])
