"""XLA's side of a call: the frame, errors, how many threads. Offsets are those of xla/ffi/api/c_api.h.

The interface promises that fields keep their places; ``struct_size`` and the API's version are checked where newer ones
are read. Nothing here needs the interpreter or its lock: XLA calls from threads of its own.
"""

from __future__ import annotations

from typing import Any

from ctkernels.cpu._conv.libc import call, on_stack, set_word32, word32
from ctkernels.cpu._conv.memory import set_word, word
from ctkernels.cpu._core.jit import jit

INVALID_ARGUMENT = 3
RESOURCE_EXHAUSTED = 8
UINT8, FLOAT32, FLOAT64 = 6, 11, 12


@jit
def answer_metadata(frame: Any) -> Any:
    """Whether XLA only asks which version of the API this code is made for; the answer is its own, if the major fits.

    Every field used here is in the oldest version that XLA takes (0.1), but for the thread pool (``_threads``).
    """
    extension = word(frame, 1)
    if extension == 0 or word32(extension, 8) != 1:
        return False
    api, metadata = word(frame, 2), word(extension, 3)
    set_word32(metadata, 24, 0)
    set_word32(metadata, 28, 1 if api == 0 else word32(api, 36))
    set_word32(metadata, 32, 0)
    return True


@jit
def refuse(frame: Any, text: Any, code: Any) -> Any:
    """An XLA error."""
    request = on_stack()
    set_word(request, 0, 28)
    set_word(request, 1, 0)
    set_word(request, 2, text)
    set_word(request, 3, code)
    return call(word(word(frame, 2), 6), request)


@jit
def argument(frame: Any, number: Any) -> Any:
    """A buffer: dtype at 16, data at 24, rank at 32, address of dims at 40."""
    return word(word(frame, 9), number)


@jit
def result(frame: Any, number: Any) -> Any:
    """As ``argument``."""
    return word(word(frame, 14), number)


@jit
def counts_are(frame: Any, arguments: Any, results: Any) -> Any:
    """Whether there are so many arguments and results."""
    return word(frame, 7) == arguments and word(frame, 12) == results


@jit
def is_array(buffer: Any, dtype: Any, rank: Any) -> Any:
    """Whether a buffer has this element type and number of axes."""
    return word32(buffer, 16) == dtype and word(buffer, 4) == rank


@jit
def data(buffer: Any) -> Any:
    """Address of the first element."""
    return word(buffer, 3)


@jit
def axis(buffer: Any, number: Any) -> Any:
    """Length of an axis."""
    return word(word(buffer, 5), number)


@jit
def has_shape(buffer: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Whether a buffer of four axes is so long."""
    return axis(buffer, 0) == a and axis(buffer, 1) == b and axis(buffer, 2) == c and axis(buffer, 3) == d


@jit
def failed(api: Any, error: Any) -> Any:
    if error == 0:
        return False
    request = on_stack()
    set_word(request, 0, 24)
    set_word(request, 1, 0)
    set_word(request, 2, error)
    call(word(api, 8), request)
    return True


@jit
def threads(frame: Any) -> Any:
    """Threads that XLA computes with; 1 where it does not say."""
    api = word(frame, 2)
    if word(api, 0) < 152:
        return 1
    found, request = on_stack(), on_stack()
    set_word(found, 0, 1)
    set_word(request, 0, 32)
    set_word(request, 1, 0)
    set_word(request, 2, word(frame, 3))
    set_word(request, 3, found)
    if failed(api, call(word(api, 18), request)):
        return 1
    return word(found, 0)
