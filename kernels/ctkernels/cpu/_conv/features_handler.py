"""What XLA calls for all blocks of the network; see ``handlers``."""

from __future__ import annotations

from ctkernels.cpu._conv.features import JOB_BYTES, FeaturesJob, bands_of, copy_job, slices_of
from ctkernels.cpu._conv.forward import ForwardJob, forward_bands, forward_planes, forward_scratch
from ctkernels.cpu._conv.handlers import ALIGNED, closed, floats
from ctkernels.cpu._conv.job import Job, packed_bytes, windows
from ctkernels.cpu._conv.libc import WRONG_COUNT, WRONG_SHAPE, WRONG_TYPE, allocate, message
from ctkernels.cpu._conv.memory import set_word, size_of, word
from ctkernels.cpu._conv.xla_frame import (
    INVALID_ARGUMENT,
    Frame,
    answer_metadata,
    argument,
    axis,
    counts_are,
    data,
    has_shape,
    is_array,
    refuse,
    result,
    threads,
)
from ctkernels.cpu._conv.xla_threads import FEATURES, Context, job_of, open_context, run_job
from ctkernels.cpu._core.jit import jit, jit_part
from ctkernels.cpu._core.vectors import round_up


@jit_part
def features(kind, frame):
    """``x, kernel, bias, kernel, bias, ... -> out`` of the last block."""
    if answer_metadata(frame):
        return 0
    blocks = (word(frame, Frame.ARGUMENT_COUNT) - 1) // 2
    if blocks < 1 or not counts_are(frame, 1 + 2 * blocks, 1):
        return refuse(frame, message(WRONG_COUNT), INVALID_ARGUMENT)
    if not _are_arrays(frame, blocks, floats(kind)):
        return refuse(frame, message(WRONG_TYPE), INVALID_ARGUMENT)
    if not _fit(frame, blocks):
        return refuse(frame, message(WRONG_SHAPE), INVALID_ARGUMENT)
    x, out = argument(frame, 0), result(frame, 0)
    if axis(x, 0) == 0 or axis(out, 3) == 0:
        return 0
    # Images that are shared out evenly each go through all blocks on one thread, whose caches keep what lies between.
    alone = axis(x, 0) // threads(frame) * threads(frame)
    room = 2 * blocks * JOB_BYTES + _packed_bytes(kind, frame, blocks) + 2 * ALIGNED
    room += (axis(x, 0) - alone) * (_between(kind, frame, blocks, 0) + _between(kind, frame, blocks, 1))
    context, memory = open_context(FEATURES), allocate(room)
    done = context != 0 and memory != 0 and _run(kind, frame, blocks, context, round_up(memory, ALIGNED), alone)
    return closed(frame, context, memory, done)


@jit
def _are_arrays(frame, blocks, dtype):
    if not is_array(argument(frame, 0), dtype, 4) or not is_array(result(frame, 0), dtype, 4):
        return False
    for k in range(blocks):
        if not is_array(_kernel(frame, k), dtype, 4) or not is_array(_bias(frame, k), dtype, 1):
            return False
    return True


@jit
def _kernel(frame, block):
    return argument(frame, 1 + 2 * block)


@jit
def _bias(frame, block):
    return argument(frame, 2 + 2 * block)


@jit
def _fit(frame, blocks):
    x, out = argument(frame, 0), result(frame, 0)
    height, width, channels = axis(x, 1), axis(x, 2), axis(x, 3)
    for k in range(blocks):
        outputs = axis(_bias(frame, k), 0)
        if min(height, width) < 4 or channels < 1 or not has_shape(_kernel(frame, k), 3, 3, channels, outputs):
            return False
        height, width, channels = windows(height), windows(width), outputs
    return has_shape(out, axis(x, 0), height, width, channels)


@jit
def _packed_bytes(kind, frame, blocks):
    x, total = argument(frame, 0), 0
    height, width = axis(x, 1), axis(x, 2)
    for k in range(blocks):
        c, f = axis(_kernel(frame, k), 2), axis(_kernel(frame, k), 3)
        total += packed_bytes(kind, c, f, forward_planes(kind, height, width, c, f))
        height, width = windows(height), windows(width)
    return total


@jit
def _between(kind, frame, blocks, parity):
    """Bytes of an image's largest result between blocks that are even (0) or odd (1) in number."""
    x, most = argument(frame, 0), 0
    height, width = axis(x, 1), axis(x, 2)
    for k in range(blocks - 1):
        height, width = windows(height), windows(width)
        if k % 2 == parity:
            most = max(most, height * width * axis(_bias(frame, k), 0) * size_of(kind))
    return round_up(most, ALIGNED)


@jit_part
def _run(kind, frame, blocks, context, memory, alone):
    x, out, job = argument(frame, 0), result(frame, 0), job_of(context)
    even, odd = _between(kind, frame, blocks, 0), _between(kind, frame, blocks, 1)
    jobs, rest, images = memory, memory + blocks * JOB_BYTES, axis(x, 0) - alone
    between = round_up(_write_jobs(kind, frame, blocks, jobs, rest + blocks * JOB_BYTES), ALIGNED)
    set_word(job, FeaturesJob.BLOCKS, blocks)
    set_word(job, FeaturesJob.JOBS, jobs)
    set_word(job, FeaturesJob.X, data(x))
    set_word(job, FeaturesJob.X_BYTES, axis(x, 1) * axis(x, 2) * axis(x, 3) * size_of(kind))
    set_word(job, FeaturesJob.OUT, data(out))
    set_word(job, FeaturesJob.OUT_BYTES, axis(out, 1) * axis(out, 2) * axis(out, 3) * size_of(kind))
    set_word(job, FeaturesJob.EVEN, even)
    set_word(job, FeaturesJob.ODD, odd)
    set_word(job, FeaturesJob.ALONE, alone)
    set_word(job, FeaturesJob.REST, rest)
    set_word(job, FeaturesJob.DONE, context + 8 * Context.DONE)
    most, packed, bands, first = 0, 0, 0, 0
    source = data(x) + alone * word(job, FeaturesJob.X_BYTES)
    for k in range(blocks):
        of_image, own = jobs + k * JOB_BYTES, rest + k * JOB_BYTES
        most = max(most, _scratch(kind, of_image))
        packed += slices_of(kind, of_image)
        # Images left over, fewer than threads: bands of an image go to different threads.
        target = between + (0 if k % 2 == 0 else images * even)
        if k == blocks - 1:
            target = data(out) + alone * word(job, FeaturesJob.OUT_BYTES)
        copy_job(of_image, own)
        set_word(own, Job.IMAGES, images)
        set_word(own, Job.PARTS, forward_bands(word(own, ForwardJob.PLANES), 1, windows(word(own, Job.HEIGHT)), 1))
        set_word(own, ForwardJob.X, source)
        set_word(own, ForwardJob.OUT, target)
        bands += bands_of(own)
        if k == 0 and word(own, ForwardJob.PLANES) == 0:
            first = bands
        source = target
    set_word(job, FeaturesJob.SLICES, packed)
    set_word(job, FeaturesJob.FIRST, first)
    return run_job(kind, frame, context, packed + alone + bands, JOB_BYTES + even + odd + most)


@jit
def _write_jobs(kind, frame, blocks, jobs, place):
    """The blocks' forward jobs of one image; the end of the room for their packed kernels, which is at ``place``."""
    x = argument(frame, 0)
    height, width = axis(x, 1), axis(x, 2)
    for k in range(blocks):
        job, kernel = jobs + k * JOB_BYTES, _kernel(frame, k)
        c, f = axis(kernel, 2), axis(kernel, 3)
        planes, weights = forward_planes(kind, height, width, c, f), data(kernel)
        set_word(job, ForwardJob.UNPACKED, weights)
        if planes > 0:
            weights = place
            place += packed_bytes(kind, c, f, planes)
        set_word(job, Job.IMAGES, 1)
        set_word(job, Job.HEIGHT, height)
        set_word(job, Job.WIDTH, width)
        set_word(job, Job.IN_CHANNELS, c)
        set_word(job, Job.OUT_CHANNELS, f)
        set_word(job, Job.PARTS, 1)
        set_word(job, ForwardJob.KERNEL, weights)
        set_word(job, ForwardJob.BIAS, data(_bias(frame, k)))
        set_word(job, ForwardJob.ARGMAX, 0)
        set_word(job, ForwardJob.PLANES, planes)
        height, width = windows(height), windows(width)
    return place


@jit
def _scratch(kind, job):
    return forward_scratch(kind, word(job, Job.WIDTH), word(job, Job.IN_CHANNELS), word(job, ForwardJob.PLANES))
