"""All blocks of the network as one job, each task one image: what lies between two blocks stays in a core's cache.

Memory for it belongs to the thread and is used for one image after the other. See ``features_handler``.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from ctkernels.cpu._conv.forward import ForwardJob, forward_task
from ctkernels.cpu._conv.job import JOB_WORDS, Job
from ctkernels.cpu._conv.memory import set_word, word
from ctkernels.cpu._core.jit import jit

JOB_BYTES: Final = 8 * JOB_WORDS


class FeaturesJob(IntEnum):
    """Words of a job."""

    BLOCKS = 0
    JOBS = auto()
    """Address of the blocks' forward jobs, each of one image and one band, addresses of images left out."""
    X = auto()
    X_BYTES = auto()
    """Of one image."""
    OUT = auto()
    OUT_BYTES = auto()
    EVEN = auto()
    """Bytes of the largest result of the first block, the third, ..., but for the last one, whose result is ``OUT``."""
    ODD = auto()


@jit
def features_task(kind, job, task, scratch):
    """One image through all blocks."""
    count, jobs = word(job, FeaturesJob.BLOCKS), word(job, FeaturesJob.JOBS)
    own, even = scratch, scratch + JOB_BYTES
    odd = even + word(job, FeaturesJob.EVEN)
    rest = odd + word(job, FeaturesJob.ODD)
    source = word(job, FeaturesJob.X) + task * word(job, FeaturesJob.X_BYTES)
    for k in range(count):
        copy_job(jobs + k * JOB_BYTES, own)
        target = even if k % 2 == 0 else odd
        if k == count - 1:
            target = word(job, FeaturesJob.OUT) + task * word(job, FeaturesJob.OUT_BYTES)
        set_word(own, ForwardJob.X, source)
        set_word(own, ForwardJob.OUT, target)
        for band in range(word(own, Job.PARTS)):
            forward_task(kind, own, band, rest)
        source = target


@jit
def copy_job(source, target):
    """The words of a job."""
    for k in range(JOB_WORDS):
        set_word(target, k, word(source, k))
