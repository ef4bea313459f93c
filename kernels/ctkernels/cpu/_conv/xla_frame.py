"""XLA's side of a call: the frame, errors, how many threads. Offsets are those of xla/ffi/api/c_api.h.

The interface promises that fields keep their places; ``struct_size`` and the API's version are checked where newer ones
are read. Nothing here needs the interpreter or its lock: XLA calls from threads of its own.
"""

from __future__ import annotations

from enum import IntEnum

from ctkernels.cpu._conv.libc import call, on_stack, set_word32, word32
from ctkernels.cpu._conv.memory import set_word, word
from ctkernels.cpu._core.jit import jit

INVALID_ARGUMENT = 3
RESOURCE_EXHAUSTED = 8
INT8, UINT8, FLOAT32, FLOAT64, BFLOAT16 = 2, 6, 11, 12, 16


class Frame(IntEnum):
    """Words of ``XLA_FFI_CallFrame``."""

    EXTENSION = 1
    API = 2
    CONTEXT = 3
    ARGUMENT_COUNT = 7
    ARGUMENTS = 9
    RESULT_COUNT = 12
    RESULTS = 14


class Api(IntEnum):
    """Words of ``XLA_FFI_Api``, most of them addresses of functions."""

    STRUCT_SIZE = 0
    ERROR_CREATE = 6
    ERROR_DESTROY = 8
    THREAD_POOL_SCHEDULE = 17
    THREAD_POOL_NUM_THREADS = 18


class Buffer(IntEnum):
    """Words of ``XLA_FFI_Buffer``; its dtype is 32 bits at byte 16."""

    DATA = 3
    RANK = 4
    DIMS = 5


# int32 fields, by bytes.
_EXTENSION_TYPE, _METADATA_EXTENSION = 8, 1
_API_MINOR = 36
_METADATA_MAJOR, _METADATA_MINOR, _METADATA_TRAITS = 24, 28, 32
_BUFFER_DTYPE = 16


@jit
def answer_metadata(frame):
    """Whether XLA only asks which version of the API this code is made for; the answer is its own, if the major fits.

    Every field used here is in the oldest version that XLA takes (0.1), but for the thread pool (``threads``).
    """
    extension = word(frame, Frame.EXTENSION)
    if extension == 0 or word32(extension, _EXTENSION_TYPE) != _METADATA_EXTENSION:
        return False
    api, metadata = word(frame, Frame.API), word(extension, 3)
    set_word32(metadata, _METADATA_MAJOR, 0)
    set_word32(metadata, _METADATA_MINOR, 1 if api == 0 else word32(api, _API_MINOR))
    set_word32(metadata, _METADATA_TRAITS, 0)
    return True


@jit
def set_request(request, struct_size, first):
    """Begin the structure that a function of the API takes: its size, no extension, the first field."""
    set_word(request, 0, struct_size)
    set_word(request, 1, 0)
    set_word(request, 2, first)


@jit
def refuse(frame, text, code):
    """An XLA error."""
    request = on_stack()
    set_request(request, 28, text)
    set_word(request, 3, code)
    # XLA copies the text.
    return call(word(word(frame, Frame.API), Api.ERROR_CREATE), request)


@jit
def argument(frame, number):
    """Address of a ``Buffer``."""
    return word(word(frame, Frame.ARGUMENTS), number)


@jit
def result(frame, number):
    """As ``argument``."""
    return word(word(frame, Frame.RESULTS), number)


@jit
def counts_are(frame, arguments, results):
    """Whether there are so many arguments and results."""
    return word(frame, Frame.ARGUMENT_COUNT) == arguments and word(frame, Frame.RESULT_COUNT) == results


@jit
def has_type(buffer, dtype):
    """Whether a buffer has this element type."""
    return word32(buffer, _BUFFER_DTYPE) == dtype


@jit
def is_array(buffer, dtype, rank):
    """Whether a buffer has this element type and number of axes."""
    return has_type(buffer, dtype) and word(buffer, Buffer.RANK) == rank


@jit
def data(buffer):
    """Address of the first element."""
    return word(buffer, Buffer.DATA)


@jit
def axis(buffer, number):
    """Length of an axis."""
    return word(word(buffer, Buffer.DIMS), number)


@jit
def length(buffer):
    """Elements of a buffer, of however many axes."""
    numbers = 1
    for n in range(word(buffer, Buffer.RANK)):
        numbers *= axis(buffer, n)
    return numbers


@jit
def has_shape(buffer, a, b, c, d):
    """Whether a buffer of four axes is so long."""
    return axis(buffer, 0) == a and axis(buffer, 1) == b and axis(buffer, 2) == c and axis(buffer, 3) == d


@jit
def failed(api, error):
    """Whether the API answered with an error, which is destroyed: the callers have another way."""
    if error == 0:
        return False
    request = on_stack()
    set_request(request, 24, error)
    call(word(api, Api.ERROR_DESTROY), request)
    return True


@jit
def threads(frame):
    """Threads that XLA computes with; 1 where it does not say."""
    api = word(frame, Frame.API)
    # The function came after version 0.1: an older API is too short to name it.
    if word(api, Api.STRUCT_SIZE) < 8 * (Api.THREAD_POOL_NUM_THREADS + 1):
        return 1
    number, request = on_stack(), on_stack()
    set_word(number, 0, 1)
    set_request(request, 32, word(frame, Frame.CONTEXT))
    set_word(request, 3, number)
    if failed(api, call(word(api, Api.THREAD_POOL_NUM_THREADS), request)):
        return 1
    return word(number, 0)
