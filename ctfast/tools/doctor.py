"""What works on this machine, what not and why, and the command that fixes it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import ctfast
from ctfast.batch.limits import available_bytes
from ctfast.files import formats
from ctfast.tools.doctor_gpu import gpu_facts

if TYPE_CHECKING:
    from rich.console import Console

BASE: Final = ("numpy", "numba", "tifffile", "filelock", "rich", "typer")
EXTRAS: Final = {
    **formats.extras(),
    "report": ("jinja2", "matplotlib", "pillow", "scipy"),
    "nn": ("flatbuffers", "flax", "h5py", "jax", "onnx", "optax", "orbax-checkpoint", "scikit-learn", "tensorboardX"),
    "remote": ("fsspec", "s3fs"),
    "cluster": ("distributed",),
    "codecs": ("imagecodecs", "isal", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls"),
}
_NEEDED: Final = ("machine", "packages", "backends", *BASE, "backend cpu", "thread pool")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    message: str
    remedy: str = ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def findings() -> Iterator[Finding]:
    """Look at the machine, the packages, every extra and every backend; what fails there is a finding too."""
    for subject, look in (("machine", _machine), ("packages", _packages), ("GPU", _gpu), ("backends", _backends)):
        try:
            yield from look()
        except Exception as error:  # whatever is broken here is what was asked for
            yield Finding(subject, False, f"{type(error).__name__}: {error}")


def _machine() -> Iterator[Finding]:
    yield Finding("ctfast", True, f"{ctfast.__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield Finding("memory", True, f"{available_bytes() / 2**30:.1f} GiB available")
    from ctkernels.cpu import available_cores  # with Numba, which may be what is broken

    cores = available_cores()
    threads = ctfast.get_num_threads()
    yield Finding("cores", True, f"{cores} usable (affinity and container quota counted), {threads} threads a call")


def _packages() -> Iterator[Finding]:
    for package in BASE:
        version = _version(package)
        yield Finding(package, version is not None, version or "not installed", "" if version else "pip install ctfast")
    for extra, packages in EXTRAS.items():
        versions = {p: _version(p) for p in packages}
        missing = [p for p, v in versions.items() if v is None]
        message = f"missing {', '.join(missing)}" if missing else ", ".join(f"{p} {v}" for p, v in versions.items())
        yield Finding(f"extra {extra}", not missing, message, f'pip install "ctfast[{extra}]"' if missing else "")


def _gpu() -> Iterator[Finding]:
    for fact in gpu_facts():
        yield Finding(*fact)


def _backends() -> Iterator[Finding]:
    for name, status in ctfast.backends().items():
        yield Finding(f"backend {name}", status.usable, status.reason, status.remedy)
    if ctfast.backends()["cpu"].usable:
        yield _thread_pool()


def _thread_pool() -> Finding:
    import numpy as np

    batch = np.random.default_rng(0).integers(-1000, 1000, (8, 256, 256)).astype(np.int16)
    batched = ctfast.median_filter(batch, 5)
    single = np.stack([ctfast.median_filter(image, 5, backend="reference") for image in batch[:1]])
    good = bool((batched[:1] == single).all())
    return Finding(
        "thread pool", good, "a batch equals the reference" if good else "a batch differs from the reference"
    )


def print_findings(console: Console) -> None:
    """The findings as a table."""
    from rich.table import Column, Table
    from rich.text import Text

    # Folded, because a command that is cut can't be typed.
    folded = [Column(name, overflow="fold") for name in ("", "state", "found", "fix it with")]
    table = Table(*folded, title="ctfast doctor", title_justify="left")
    found = list(findings())
    for finding in found:
        state = "ok" if finding.good else "no"
        # As Text: in plain strings rich takes the brackets of an extra, ctfast[dicom], for markup and drops them.
        table.add_row(finding.subject, state, Text(finding.message), Text(finding.remedy))
    console.print(table)
    console.print(verdict(found), soft_wrap=True, highlight=False)


def verdict(found: Sequence[Finding]) -> str:
    """One sentence: whether ctfast can be used here, and what of its needs is not met."""
    missing = [finding.subject for finding in found if not finding.good and finding.subject in _NEEDED]
    if missing:
        return f"ctfast can't be used here as it should: {', '.join(missing)}, see above"
    gpu = any(finding.subject == "backend gpu" and finding.good for finding in found)
    where = "the CPU and the GPU" if gpu else "the CPU alone"
    return f"ctfast can be used here, on {where}; extras marked no are for some uses"
