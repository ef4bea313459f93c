"""What XLA calls for all blocks of the network; see ``handlers``."""

from __future__ import annotations

from ctkernels.cpu._conv.features import JOB_BYTES, FeaturesJob, copy_job
from ctkernels.cpu._conv.forward import ForwardJob, forward_bands, forward_planes, forward_scratch
from ctkernels.cpu._conv.handlers import ALIGNED, closed, floats
from ctkernels.cpu._conv.job import Job, pack, packed_bytes, windows
from ctkernels.cpu._conv.libc import WRONG_COUNT, WRONG_MEMORY, WRONG_SHAPE, WRONG_TYPE, allocate, message, release
from ctkernels.cpu._conv.memory import set_word, size_of, word
from ctkernels.cpu._conv.xla_frame import (
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
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
from ctkernels.cpu._conv.xla_threads import FEATURES, FORWARD, job_of, open_context, release_context, run_job
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
    memory = allocate(blocks * JOB_BYTES + _packed_bytes(kind, frame, blocks) + ALIGNED)
    if memory == 0:
        return refuse(frame, message(WRONG_MEMORY), RESOURCE_EXHAUSTED)
    jobs = round_up(memory, ALIGNED)
    _write_jobs(kind, frame, blocks, jobs)
    # Images that are shared out evenly each go through all blocks on one thread, whose caches keep what lies between.
    alone = axis(x, 0) // threads(frame) * threads(frame)
    done = alone == 0 or _by_image(kind, frame, blocks, jobs, alone)
    done = done and (alone == axis(x, 0) or _by_block(kind, frame, blocks, jobs, alone))
    return closed(frame, 0, memory, done)


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
def _write_jobs(kind, frame, blocks, jobs):
    """The blocks' forward jobs, then their packed kernels."""
    x, place = argument(frame, 0), jobs + blocks * JOB_BYTES
    height, width = axis(x, 1), axis(x, 2)
    for k in range(blocks):
        job, kernel = jobs + k * JOB_BYTES, _kernel(frame, k)
        c, f = axis(kernel, 2), axis(kernel, 3)
        planes, weights = forward_planes(kind, height, width, c, f), data(kernel)
        if planes > 0:
            pack(kind, weights, c, f, planes, place)
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


@jit
def _between(kind, jobs, blocks, parity):
    """Bytes of an image's largest result between blocks that are even (0) or odd (1) in number."""
    most = 0
    for k in range(parity, blocks - 1, 2):
        most = max(most, _result_bytes(kind, jobs + k * JOB_BYTES))
    return round_up(most, ALIGNED)


@jit
def _result_bytes(kind, job):
    f = word(job, Job.OUT_CHANNELS)
    return windows(word(job, Job.HEIGHT)) * windows(word(job, Job.WIDTH)) * f * size_of(kind)


@jit
def _scratch(kind, job):
    return forward_scratch(kind, word(job, Job.WIDTH), word(job, Job.IN_CHANNELS), word(job, ForwardJob.PLANES))


@jit_part
def _by_image(kind, frame, blocks, jobs, images):
    """The first images, a task each."""
    context = open_context(FEATURES)
    if context == 0:
        return False
    x, job, most = argument(frame, 0), job_of(context), 0
    for k in range(blocks):
        most = max(most, _scratch(kind, jobs + k * JOB_BYTES))
    even, odd = _between(kind, jobs, blocks, 0), _between(kind, jobs, blocks, 1)
    set_word(job, FeaturesJob.BLOCKS, blocks)
    set_word(job, FeaturesJob.JOBS, jobs)
    set_word(job, FeaturesJob.X, data(x))
    set_word(job, FeaturesJob.X_BYTES, axis(x, 1) * axis(x, 2) * axis(x, 3) * size_of(kind))
    set_word(job, FeaturesJob.OUT, data(result(frame, 0)))
    set_word(job, FeaturesJob.OUT_BYTES, _result_bytes(kind, jobs + (blocks - 1) * JOB_BYTES))
    set_word(job, FeaturesJob.EVEN, even)
    set_word(job, FeaturesJob.ODD, odd)
    done = run_job(kind, frame, context, images, JOB_BYTES + even + odd + most)
    release_context(context)
    return done


@jit_part
def _by_block(kind, frame, blocks, jobs, first):
    """Images from number ``first`` on, fewer than threads: block by block, bands of an image on different threads."""
    x, out = argument(frame, 0), result(frame, 0)
    images, size = axis(x, 0) - first, size_of(kind)
    even, odd = images * _between(kind, jobs, blocks, 0), images * _between(kind, jobs, blocks, 1)
    memory = allocate(even + odd + ALIGNED)
    if memory == 0:
        return False
    done, between = True, round_up(memory, ALIGNED)
    source = data(x) + first * axis(x, 1) * axis(x, 2) * axis(x, 3) * size
    for k in range(blocks):
        target = between if k % 2 == 0 else between + even
        if k == blocks - 1:
            target = data(out) + first * axis(out, 1) * axis(out, 2) * axis(out, 3) * size
        # A context for each: helpers of the last one may still look at theirs.
        context = open_context(FORWARD)
        done = done and context != 0
        if done:
            job = job_of(context)
            copy_job(jobs + k * JOB_BYTES, job)
            bands = forward_bands(word(job, ForwardJob.PLANES), windows(word(job, Job.HEIGHT)))
            set_word(job, Job.IMAGES, images)
            set_word(job, Job.PARTS, bands)
            set_word(job, ForwardJob.X, source)
            set_word(job, ForwardJob.OUT, target)
            done = run_job(kind, frame, context, images * bands, _scratch(kind, job))
        if context != 0:
            release_context(context)
        source = target
    release(memory)
    return done
