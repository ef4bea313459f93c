"""What XLA calls for a step of Adam; see ``handlers``."""

from __future__ import annotations

from ctkernels.cpu._conv.adam import AdamJob, Number, adam_tasks
from ctkernels.cpu._conv.handlers import closed, floats
from ctkernels.cpu._conv.libc import WRONG_ADAM, message
from ctkernels.cpu._conv.memory import set_word, word
from ctkernels.cpu._conv.xla_frame import (
    INVALID_ARGUMENT,
    Frame,
    answer_metadata,
    argument,
    has_type,
    length,
    refuse,
    result,
)
from ctkernels.cpu._conv.xla_threads import ADAM, job_of, open_context, run_job
from ctkernels.cpu._core.jit import jit_part


@jit_part
def adam(kind, frame):
    """``numbers``, then gradients, first and second moments and weights of all arrays, to the latter three."""
    if answer_metadata(frame):
        return 0
    arguments, results = word(frame, Frame.ARGUMENT_COUNT), word(frame, Frame.RESULT_COUNT)
    arrays = results // 3
    if arrays < 1 or results != 3 * arrays or arguments != 1 + 4 * arrays:
        return refuse(frame, message(WRONG_ADAM), INVALID_ARGUMENT)
    fits = has_type(argument(frame, 0), floats(kind)) and length(argument(frame, 0)) == Number.DECAYS + arrays
    for n in range(arrays):
        numbers = length(argument(frame, 1 + n))
        for k in range(4):
            of_it = argument(frame, 1 + k * arrays + n)
            fits = fits and has_type(of_it, floats(kind)) and length(of_it) == numbers
        for k in range(3):
            of_it = result(frame, k * arrays + n)
            fits = fits and has_type(of_it, floats(kind)) and length(of_it) == numbers
    if not fits:
        return refuse(frame, message(WRONG_ADAM), INVALID_ARGUMENT)
    context = open_context(ADAM)
    done = False
    if context != 0:
        set_word(job_of(context), AdamJob.FRAME, frame)
        set_word(job_of(context), AdamJob.ARRAYS, arrays)
        done = run_job(kind, frame, context, adam_tasks(frame, arrays), 0)
    return closed(frame, context, 0, done)
