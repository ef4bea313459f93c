"""All blocks of the network as one job: what lies between two blocks stays in a core's cache.

Images that are shared out evenly are a task each, with memory that belongs to the thread and is used for one image
after the other. Those left over (a batch of one is) go block by block, bands of an image on different threads. Slices
of packed kernels are tasks too. All are one job and not one after another, so that helpers are called once a call of
XLA's and find the first layer's bands while kernels are packed.

Tasks are taken in order. Each waits for the end of all tasks of the stages before its own, which are begun, so that
somebody is at work on whatever is waited for. See ``features_handler``.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from ctkernels.cpu._conv.forward import ForwardJob, forward_task
from ctkernels.cpu._conv.job import JOB_WORDS, Job, channels_of, pack_slice, slices
from ctkernels.cpu._conv.libc import fetch_add, sched_yield
from ctkernels.cpu._conv.memory import set_word, word
from ctkernels.cpu._core.jit import jit, jit_part

JOB_BYTES: Final = 8 * JOB_WORDS


class FeaturesJob(IntEnum):
    """Words of a job.

    Its tasks, in order: ``FIRST`` bands, ``SLICES`` of kernels, ``ALONE`` images, the other bands block after block.
    """

    BLOCKS = 0
    JOBS = auto()
    """Address of the blocks' forward jobs, each of one image and one band, addresses of images left out."""
    SLICES = auto()
    X = auto()
    X_BYTES = auto()
    """Of one image."""
    OUT = auto()
    OUT_BYTES = auto()
    EVEN = auto()
    """Bytes of the largest result of the first block, the third, ..., but for the last one, whose result is ``OUT``."""
    ODD = auto()
    ALONE = auto()
    """Images of a task each."""
    REST = auto()
    """Address of the blocks' forward jobs for the images that are left over."""
    FIRST = auto()
    """Bands of their first block, where it needs no packed kernel."""
    DONE = auto()
    """Address of the number of tasks that have ended."""


@jit
def features_task(kind, job, task, scratch):
    """A slice of a kernel, an image through all blocks, or a band of an image and a block."""
    first, packed = word(job, FeaturesJob.FIRST), word(job, FeaturesJob.SLICES)
    if first <= task < first + packed:
        _pack(kind, word(job, FeaturesJob.JOBS), task - first)
        return
    image, own, band, memory, steps = -1, word(job, FeaturesJob.REST), task, scratch, 1
    if task >= first:
        before = first + packed
        _wait(job, before)
        band -= before
        if band < word(job, FeaturesJob.ALONE):
            image, own, band, steps = band, scratch, 0, word(job, FeaturesJob.BLOCKS)
            memory = scratch + JOB_BYTES + word(job, FeaturesJob.EVEN) + word(job, FeaturesJob.ODD)
        else:
            before += word(job, FeaturesJob.ALONE)
            band -= word(job, FeaturesJob.ALONE)
            if first > 0:
                own += JOB_BYTES
            while band >= bands_of(own):
                before += bands_of(own)
                band -= bands_of(own)
                own += JOB_BYTES
            _wait(job, before)
    for k in range(steps):
        if image >= 0:
            _write_image_job(job, image, k, own)
        forward_task(kind, own, band, memory)


@jit
def _wait(job, count):
    """Until so many tasks have ended: too short to sleep, and the core may be another's."""
    done = word(job, FeaturesJob.DONE)
    while fetch_add(done, 0, 0) < count:
        sched_yield()


@jit_part
def _pack(kind, own, number):
    """Slice ``number`` of those of all blocks."""
    while number >= slices_of(kind, own):
        number -= slices_of(kind, own)
        own += JOB_BYTES
    kernel, packed = word(own, ForwardJob.UNPACKED), word(own, ForwardJob.KERNEL)
    c, f = channels_of(own)
    pack_slice(kind, kernel, c, f, word(own, ForwardJob.PLANES), number, packed)


@jit_part
def _write_image_job(job, image, k, own):
    """The forward job of one image and block ``k``, whose ``own`` is the start of a thread's memory."""
    copy_job(word(job, FeaturesJob.JOBS) + k * JOB_BYTES, own)
    even = own + JOB_BYTES
    odd = even + word(job, FeaturesJob.EVEN)
    source = odd if k % 2 == 0 else even
    if k == 0:
        source = word(job, FeaturesJob.X) + image * word(job, FeaturesJob.X_BYTES)
    target = even if k % 2 == 0 else odd
    if k == word(job, FeaturesJob.BLOCKS) - 1:
        target = word(job, FeaturesJob.OUT) + image * word(job, FeaturesJob.OUT_BYTES)
    set_word(own, ForwardJob.X, source)
    set_word(own, ForwardJob.OUT, target)


@jit
def bands_of(job):
    """Tasks of a forward job."""
    return word(job, Job.IMAGES) * word(job, Job.PARTS)


@jit
def slices_of(kind, job):
    """Slices of a forward job's kernel, none where it is not packed."""
    return slices(kind, word(job, Job.OUT_CHANNELS)) if word(job, ForwardJob.PLANES) > 0 else 0


@jit
def copy_job(source, target):
    """The words of a job."""
    for k in range(JOB_WORDS):
        set_word(target, k, word(source, k))
