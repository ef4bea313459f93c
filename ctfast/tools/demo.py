"""The main job on real input, offline: the CT images that pydicom ships and a synthetic set, through one preset."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctfast import runner
from ctfast.batch.progress import CLOSING, KERNELS_FIRST, progress_bar
from ctfast.errors import MissingDependencyError, UsageError
from ctfast.files import read_image
from ctfast.pipeline import Pipeline
from ctfast.presets import preset
from ctfast.runner.console import print_report
from ctfast.tools.synth import write_set

if TYPE_CHECKING:
    from rich.console import Console

PRESET: Final = "mediastinum-plain"
"""Without CLAHE, which would make the noise of so narrow a window look like texture."""
SLICES: Final = 64


def copy_pydicom_images(folder: Path) -> int:
    """Copy every CT image with pixels among pydicom's own test files; returns how many."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingDependencyError('the demo reads DICOM: pip install "ctfast[dicom,codecs,report]"') from error
    source = Path(pydicom.__file__).parent / "data" / "test_files"
    folder.mkdir(parents=True)
    copied = 0
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of them are odd on purpose
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality", "Rows"])
            except Exception:  # not DICOM, or damaged on purpose
                continue
        if header.get("Modality") == "CT" and header.get("Rows"):
            name = "_".join(path.relative_to(source).with_suffix("").parts)
            shutil.copy(path, folder / f"{name}.dcm")
            copied += 1
    return copied


def save_before_after(pairs: list[tuple[Path, Path]], path: Path) -> None:
    """A PNG with each input, windowed and no more, above its output."""
    from matplotlib.figure import Figure

    window = Pipeline(preset(PRESET).steps[:1])
    figure = Figure(figsize=(3.2 * len(pairs), 7), layout="constrained")
    axes = figure.subplots(2, len(pairs), squeeze=False)
    for (source, output), column in zip(pairs, axes.T, strict=True):
        shown = {
            f"{source.stem}\nwindow alone": window(read_image(source)),
            PRESET: read_image(output, units="stored").pixels,
        }
        for (title, pixels), place in zip(shown.items(), column, strict=True):
            place.imshow(pixels, cmap="gray", vmin=0, vmax=255)
            place.set_title(title, fontsize=8)
            place.set_axis_off()
    figure.suptitle("ctfast demo: not a medical device, not for diagnosis", fontsize=9)
    figure.savefig(path, dpi=100)


def run_demo(out: Path, console: Console) -> int:
    """Make the inputs, run the preset, save a picture; returns the number of failed files.

    Raises:
        UsageError: ``out`` exists already.
        MissingDependencyError: pydicom or matplotlib is missing.
    """
    if out.exists():
        raise UsageError(f"{out} exists: choose a new folder, or delete it to run the demo again")
    inputs, outputs = out / "input", out / "output"
    real = copy_pydicom_images(inputs / "pydicom")
    console.print(f"{real} CT images from pydicom, {SLICES} synthetic slices (TIFF and DICOM)", highlight=False)
    write_set(inputs / "synthetic", count=SLICES, seed=7)
    plan = runner.plan(inputs, outputs, preset(PRESET))
    with progress_bar(len(plan.tasks), console, KERNELS_FIRST, CLOSING) as progress:
        report = runner.execute(plan, progress=progress)
    print_report(report, console)
    sources = [
        inputs / "synthetic" / "tiff_images" / "ID_0002_AGE_{}_CONTRAST_1_CT.tif",
        inputs / "pydicom" / "CT_small.dcm",
    ]
    pairs = []
    for source in sources:
        matches = sorted(source.parent.glob(source.name.replace("{}", "*")))
        pairs += [(f, (outputs / f.relative_to(inputs)).with_suffix(".tif")) for f in matches]
    picture = out / "before_after.png"
    save_before_after(pairs, picture)
    console.print(f"outputs: {outputs}\nmanifest: {outputs / 'manifest.jsonl'}\npicture: {picture}", soft_wrap=True)
    return report.failed
