"""Tasks of a call on XLA's threads, without the interpreter.

Why XLA's own pool: threads of ours would fight with it for the cores, and Python's can't be used without the
interpreter's lock, which the caller of a jitted function may hold while it waits.
"""

from __future__ import annotations

from typing import Any

from ctkernels.cpu._conv.forward import forward_task
from ctkernels.cpu._conv.input_gradient import input_gradient_task
from ctkernels.cpu._conv.libc import allocate, call, fetch_add, give_way, on_stack, release, worker_address
from ctkernels.cpu._conv.memory import set_word, word
from ctkernels.cpu._conv.weight_gradient import weight_gradient_task
from ctkernels.cpu._conv.xla_frame import failed, threads
from ctkernels.cpu._core.jit import jit

# Words of a context, the memory that a call and the threads that help it share; the job stands at its end.
NEXT, DONE, HOLDERS, COUNT, TASK, SCRATCH_BYTES, SCRATCH, SLOT, JOB = range(9)
CONTEXT_BYTES = 8 * (JOB + 16)

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = range(3)


@jit
def job_of(context: Any) -> Any:
    """Address of the job's words."""
    return context + 8 * JOB


@jit
def open_context(task: Any) -> Any:
    """A context for tasks of one kind, its job still empty; 0 where memory is at its end."""
    context = allocate(CONTEXT_BYTES)
    if context != 0:
        set_word(context, TASK, task)
        set_word(context, HOLDERS, 1)
    return context


@jit
def let_go(context: Any) -> None:
    """Stop using a context; the last holder frees it."""
    if fetch_add(context, HOLDERS, -1) == 1:
        release(context)


@jit
def run_tasks(kind: Any, context: Any) -> None:
    """What the function that ``WORKERS`` names does: take tasks until none is left, then let go."""
    slot = fetch_add(context, SLOT, 1)
    scratch = word(context, SCRATCH) + slot * word(context, SCRATCH_BYTES)
    count, task, job = word(context, COUNT), word(context, TASK), job_of(context)
    while True:
        number = fetch_add(context, NEXT, 1)
        if number >= count:
            break
        if task == FORWARD:
            forward_task(kind, job, number, scratch)
        elif task == INPUT_GRADIENT:
            input_gradient_task(kind, job, number, scratch)
        else:
            weight_gradient_task(kind, job, number, scratch)
        fetch_add(context, DONE, 1)
    let_go(context)


@jit
def run_job(kind: Any, frame: Any, context: Any, count: Any, scratch_bytes: Any) -> Any:
    """Do a job's tasks on this thread and on those of XLA's that are free; whether there was memory for it.

    XLA's threads may come late or never (this may be the only one), so this thread waits for none of them, only for
    tasks that were begun. Latecomers find no task left; the context lives until the last of them has looked.
    """
    helpers = max(0, min(threads(frame), count) - 1)
    room = (scratch_bytes + 127) // 64 * 64
    memory = allocate((helpers + 1) * room + 64)
    if memory == 0:
        return False
    set_word(context, SCRATCH, (memory + 63) // 64 * 64)
    set_word(context, SCRATCH_BYTES, room)
    set_word(context, COUNT, count)
    set_word(context, NEXT, 0)
    set_word(context, DONE, 0)
    set_word(context, SLOT, 0)
    api = word(frame, 2)
    request = on_stack()
    set_word(request, 0, 40)
    set_word(request, 1, 0)
    set_word(request, 2, word(frame, 3))
    set_word(request, 3, worker_address(kind))
    set_word(request, 4, context)
    for _ in range(helpers):
        fetch_add(context, HOLDERS, 1)
        if failed(api, call(word(api, 17), request)):
            fetch_add(context, HOLDERS, -1)
            break
    fetch_add(context, HOLDERS, 1)
    call(worker_address(kind), context)  # by address: compiled once, not again into every caller
    while fetch_add(context, DONE, 0) < count:
        give_way()
    release(memory)
    return True
