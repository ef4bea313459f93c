"""Tasks of a call on XLA's threads, without the interpreter.

Why XLA's own pool: threads of ours would fight with it for the cores, and Python's can't be used without the
interpreter's lock, which the caller of a jitted function may hold while it waits.
"""

from __future__ import annotations

from enum import IntEnum, auto

from ctkernels.cpu._conv.adam import adam_task
from ctkernels.cpu._conv.dense import dense_task
from ctkernels.cpu._conv.dense_gradient import dense_input_gradient_task, dense_weight_gradient_task
from ctkernels.cpu._conv.features import features_task
from ctkernels.cpu._conv.forward import forward_task
from ctkernels.cpu._conv.input_gradient import input_gradient_task
from ctkernels.cpu._conv.job import JOB_WORDS
from ctkernels.cpu._conv.libc import allocate, call, fetch_add, on_stack, release, sched_yield, worker_address
from ctkernels.cpu._conv.memory import set_word, word
from ctkernels.cpu._conv.weight_gradient import weight_gradient_task
from ctkernels.cpu._conv.xla_frame import Api, Frame, failed, set_request, threads
from ctkernels.cpu._core.jit import jit, jit_part


class Context(IntEnum):
    """Words of a context, the memory that a call and the threads that help it share."""

    NEXT = 0
    """Number of the task that is taken next."""
    DONE = auto()
    """Tasks that have ended."""
    HOLDERS = auto()
    """Threads that still use the context."""
    COUNT = auto()
    """Tasks of the job."""
    TASK = auto()
    """Which kind: ``FORWARD`` and the others below."""
    SCRATCH_BYTES = auto()
    SCRATCH = auto()
    SLOT = auto()
    """Piece of the scratch memory that the next thread takes."""
    JOB = auto()
    """The job's words stand from here to the end."""


FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, DENSE, FEATURES, ADAM, DENSE_INPUT_GRADIENT, DENSE_WEIGHT_GRADIENT = range(8)


@jit
def job_of(context):
    """Address of the job's words."""
    return context + 8 * Context.JOB


@jit
def open_context(task):
    """A context for tasks of one kind, its job still empty; 0 where memory is at its end."""
    context = allocate(8 * (Context.JOB + JOB_WORDS))
    if context != 0:
        set_word(context, Context.TASK, task)
        set_word(context, Context.HOLDERS, 1)
    return context


@jit
def release_context(context):
    """Stop using a context; the last holder frees it."""
    if fetch_add(context, Context.HOLDERS, -1) == 1:
        release(context)


@jit_part
def run_tasks(kind, context):
    """What the function that ``WORKERS`` names does: take tasks until none is left, then release the context."""
    slot = fetch_add(context, Context.SLOT, 1)
    scratch = word(context, Context.SCRATCH) + slot * word(context, Context.SCRATCH_BYTES)
    count, task, job = word(context, Context.COUNT), word(context, Context.TASK), job_of(context)
    while True:
        number = fetch_add(context, Context.NEXT, 1)
        if number >= count:
            break
        if task == FORWARD:
            forward_task(kind, job, number, scratch)
        elif task == INPUT_GRADIENT:
            input_gradient_task(kind, job, number, scratch)
        elif task == WEIGHT_GRADIENT:
            weight_gradient_task(kind, job, number, scratch)
        elif task == FEATURES:
            features_task(kind, job, number, scratch)
        elif task == ADAM:
            adam_task(kind, job, number)
        elif task == DENSE_INPUT_GRADIENT:
            dense_input_gradient_task(kind, job, number, scratch)
        elif task == DENSE_WEIGHT_GRADIENT:
            dense_weight_gradient_task(kind, job, number, scratch)
        else:
            dense_task(kind, job, number, scratch)
        fetch_add(context, Context.DONE, 1)
    release_context(context)


@jit
def run_job(kind, frame, context, count, scratch_bytes):
    """Do a job's tasks on this thread and on those of XLA's that are free; whether there was memory for it.

    XLA's threads may come late or never (this may be the only one), so this thread waits for none of them, only for
    tasks that were begun. Latecomers find no task left; the context lives until the last of them has looked.
    """
    helpers = max(0, min(threads(frame), count) - 1)
    # A cache line at least between the memory of two threads: they never write to the same one.
    room = (scratch_bytes + 127) // 64 * 64
    memory = allocate((helpers + 1) * room + 64)
    if memory == 0:
        return False
    set_word(context, Context.SCRATCH, (memory + 63) // 64 * 64)
    set_word(context, Context.SCRATCH_BYTES, room)
    set_word(context, Context.COUNT, count)
    set_word(context, Context.NEXT, 0)
    set_word(context, Context.DONE, 0)
    set_word(context, Context.SLOT, 0)
    _ask_for_help(kind, frame, context, helpers)
    fetch_add(context, Context.HOLDERS, 1)
    call(worker_address(kind), context)  # by address: compiled once, not again into every caller
    # Threads that took the last tasks are at work now: too short a wait to sleep, and the core may be theirs.
    while fetch_add(context, Context.DONE, 0) < count:
        sched_yield()
    release(memory)
    return True


@jit
def _ask_for_help(kind, frame, context, helpers):
    """Schedule ``helpers`` workers on XLA's threads, each a holder of the context; fewer where XLA refuses."""
    api = word(frame, Frame.API)
    request = on_stack()
    set_request(request, 40, word(frame, Frame.CONTEXT))
    set_word(request, 3, worker_address(kind))
    set_word(request, 4, context)
    for _ in range(helpers):
        # Before the call: the worker may have ended by the time it returns.
        fetch_add(context, Context.HOLDERS, 1)
        if failed(api, call(word(api, Api.THREAD_POOL_SCHEDULE), request)):
            fetch_add(context, Context.HOLDERS, -1)
            break
