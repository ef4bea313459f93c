"""How a run is done: one object, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from ctfast import backend as backends
from ctfast.batch.choices import (
    AXES,
    DATASETS,
    ON_ERROR,
    ORIENT,
    POOLS,
    UNITS,
    Axes,
    Dataset,
    OnError,
    Orient,
    Pool,
    UnitsChoice,
    check_choice,
)
from ctfast.batch.cluster import check_address
from ctfast.errors import ArgumentError, UsageError
from ctfast.files.formats import Compression, check_compression, written


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """How inputs are read and outputs written, whoever does it: see ``RunOptions``."""

    format: str = "tif"
    compression: Compression = "none"
    units: UnitsChoice = "auto"
    axes: Axes = "auto"
    offset: int = 0
    dataset: Dataset = "none"
    orient: Orient = "display"
    modality: str = "CT"
    series: bool = False
    durable: bool = False


@dataclass(frozen=True, kw_only=True)
class RunOptions(FileOptions):
    """The options of ``run``, ``plan`` and ``execute``.

    Attributes:
        backend: as in the public functions; None takes what ``ctfast bench`` recommends here, else the CPU.
        workers: files at work at once; None: the threads ctfast may use.
        pool: ``"threads"``, ``"processes"`` (the calling script needs the ``if __name__ == "__main__"`` guard) or
            ``"auto"`` (processes where there are enough files).
        format: of the outputs, a word of ``ctfast.files.formats.WRITTEN``, such as ``"tif"`` or ``"nii"``.
        compression: ``"none"``, ``"zlib"``, ``"zstd"`` or ``"lzw"`` (TIFF).
        units: what the inputs' values are: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        axes: where slices lie in ``.npy`` arrays of three axes: ``"auto"``, ``"first"`` or ``"last"``.
        offset: added to the values of every file, for sets that document one.
        dataset: a public set that files may be of, as for ``read_image``: ``"deeplesion"`` or ``"none"``.
        orient: ``"display"`` turns volumes to axial frames, columns to the left, rows to the back; ``"keep"`` does not.
        modality: which DICOM images are taken, such as ``"CT"`` or ``"CT,PT"``; ``"any"`` takes all. Files that do not
            name their modality are always taken.
        series: one output a series: DICOM slices become volumes, other files are done as ever.
        cluster: ``"local"``, or the address of a scheduler of dask.distributed, such as ``"tcp://host:8786"``: its
            workers do the files. A calling script needs the ``if __name__ == "__main__"`` guard for ``"local"``.
        shard: ``(i, n)``: only the i-th of n parts, for n machines on one folder.
        resume: leave finished outputs of an earlier run of the same pipeline alone.
        overwrite: replace what the output folder holds. Outputs of another pipeline that this run does not replace
            are renamed (``NAME.stale``), and their lines and statistics are removed.
        verify: where outputs of an earlier run are left alone, compare the hashes of inputs and outputs too, not only
            sizes and times; every file is read.
        durable: flush every output and record to the disk, so that a power cut costs nothing that was told as done.
        on_error: ``"skip"`` a bad file (it is listed) or ``"stop"`` at the first.

    Raises:
        UsageError: a value that is not allowed, with those that are.
        ArgumentError: an unknown backend.
    """

    backend: str | None = None
    workers: int | None = None
    pool: Pool = "threads"
    cluster: str | None = None
    shard: tuple[int, int] | None = None
    resume: bool = True
    overwrite: bool = False
    verify: bool = False
    on_error: OnError = "skip"

    def __post_init__(self) -> None:
        check_choice("pool", self.pool, POOLS)
        check_address(self.cluster)
        check_choice("on_error", self.on_error, ON_ERROR)
        check_choice("units", self.units, UNITS)
        check_choice("axes", self.axes, AXES)
        check_choice("dataset", self.dataset, DATASETS)
        if self.offset and (self.series or self.dataset != "none"):
            other = "series" if self.series else f"dataset={self.dataset!r}"
            raise UsageError(f"offset={self.offset} and {other}: one of them is allowed")
        check_choice("orient", self.orient, ORIENT)
        if self.backend not in (None, "auto"):
            backends.check_name(self.backend, "backend")
        try:
            check_compression(written(self.format), self.compression)
        except ArgumentError as error:
            raise UsageError(str(error)) from None
        if self.series and written(self.format).name == "png":
            raise UsageError("format='png': holds one image, not a series; tif, npy or nii is allowed")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers={self.workers}: 1 or more, or None is allowed")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise UsageError(f"shard={self.shard}: (i, n) with 1 <= i <= n is allowed, such as (2, 8)")


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """``"2/8"`` as ``(2, 8)``.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise UsageError(f"--shard {text!r}: i/n with 1 <= i <= n is allowed, such as 2/8")
    return int(first), int(second)
