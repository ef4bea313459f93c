"""A pipeline recorded on a GPU, to be launched many times on the same arrays.

For batches so small that Python needs longer to ask for the work than the GPU to do it. The recording is a CUDA graph,
which knows addresses: new pixels are written into the image that was given, results appear in the same arrays.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from ctfast import backend as backends
from ctfast.dispatch.arrays import Images, as_images, check_out
from ctfast.dispatch.chain import axes_of, check_chain, check_steps, waits_for_pixels
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.steps import Step, naming_step
from ctfast.dispatch.transfer import gpu, runs_here
from ctfast.errors import ArgumentError
from ctfast.results import PipelineResult


class PipelineGraph:
    """What ``Pipeline.capture`` gives. Keeps all the memory that it uses; one launch runs at a time."""

    def __init__(self, steps: Sequence[Step], image: Any, out: Any) -> None:
        with naming_step(1, steps[0]):
            self._images = images = as_images(image)
        if images.channel:
            raise ArgumentError("a recording is for (H, W) or (..., H, W): give x[..., 0], the same memory")
        _check_place(images, out)
        if waits_for_pixels(steps):
            raise ArgumentError("a histogram without value_range must wait for the pixels, which can't be recorded")
        check_steps(steps, images.shape)
        self._chain = chain = check_chain(images.batch.dtype, steps, "gpu")
        if out is not None and not chain.makes_image:
            raise ArgumentError("out= was given, but no step changes the image: leave it away")
        # Volumes where any step filters them: slices are then planes of these to the others.
        axes = chain.axes if axes_of(steps) == 3 else None
        batch = images.batch.reshape(-1, *images.shape[-2 if axes is None else -3 :])
        with device_errors():
            if out is None and chain.makes_image:
                out = gpu().empty(images.shape, chain.dtype)
            if out is not None:
                _check_memory_of(out, images, chain.dtype)
            self._rows = [
                gpu().empty(*chain.rows((prod(seen.shape[:-2]), seen.shape[-2], seen.shape[-1]), link))
                for link, seen in chain.seen(images)
            ]
            target = None if out is None else out.reshape(batch.shape)
            graph = importlib.import_module("ctkernels.gpu.graph")
            self._graph = graph.capture(batch, target, chain.links, self._rows, axes=axes)
            self._result = PipelineResult(image if out is None else out, **chain.results(self._rows, images))

    def launch(self) -> PipelineResult:
        """Run all steps on the pixels that the image holds now, in the order of the current stream; nothing waits.

        Returns:
            The image and the statistics, in the same arrays at every launch.

        Raises:
            DeviceError: another GPU is current than at the recording, or CUDA failed.
        """
        with device_errors():
            self._graph.launch()
            if self._result.summary is None:
                return self._result
            # Its counts are converted from float64, which is no part of the recording.
            return replace(self._result, summary=self._chain.results(self._rows, self._images)["summary"])


def _check_place(images: Images, out: Any) -> None:
    if images.kind != "cupy":
        where = "the host" if images.device is None else f"GPU {images.device}"
        raise ArgumentError(
            f"a {images.kind} array on {where} came in: a recording is for one CuPy array; give cupy.asarray(x) of an "
            "array on the host, cupy.from_dlpack(x) of one on a GPU, and write new pixels into that"
        )
    if backends.select(None, images.device) != "gpu":
        raise ArgumentError("another backend than gpu is chosen (use_backend, CTFAST_BACKEND): only gpu records")
    if not runs_here(images, "gpu", out):
        raise ArgumentError(
            f"the image is on GPU {images.device}, which must be current ('with cupy.cuda.Device({images.device}):'), "
            "and out= must be a CuPy array"
        )
    if not images.batch.flags.c_contiguous:
        raise ArgumentError("the image is not C-contiguous and can't be recorded in place: cupy.ascontiguousarray(x)")


def _check_memory_of(out: Any, images: Images, dtype: Any) -> None:
    check_out(out, images.shape, dtype)
    if not out.flags.c_contiguous or gpu().may_share_memory(out, images.batch):
        raise ArgumentError("out= must be C-contiguous and share no memory with the image")
