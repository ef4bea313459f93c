"""The report of one slice: the picture, what is known about it, and its intensities before and after processing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from ctfast import ops
from ctfast.analysis.pages.set_page import DEFAULT_PRESET, render
from ctfast.analysis.pages.svg import inline_axes
from ctfast.analysis.pages.text import tissue_rows
from ctfast.analysis.pages.thumbnails import WINDOWS, encoded
from ctfast.analysis.plots import slice as figures
from ctfast.analysis.plots.pictures import Picture, pictures
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.padding import darkened
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.statistics import is_share, measure
from ctfast.analysis.scan.tissues import TISSUES
from ctfast.analysis.wording import CONFIRM_HU, not_hu_because, text_of, units_text
from ctfast.batch.atomic import write_text
from ctfast.errors import UsageError
from ctfast.files import Image
from ctfast.files.reading import read_as
from ctfast.pipeline import Pipeline
from ctfast.presets import preset

_SIDE: Final = 640
_QUALITY: Final = 88
_SECTIONS: Final = (("image", "Image"), ("flags", "Flags"), ("facts", "Facts"), ("steps", "Processing"),
                    ("plots", "Plots"), ("tissues", "Tissues"))  # fmt: skip


def write_single_report(
    analysis: Analysis,
    out: str | Path,
    *,
    pipeline: Pipeline | None = None,
) -> Path:
    """Write the page of one slice.

    Args:
        analysis: what ``analyze`` returned for one file with one frame.
        out: the HTML file.
        pipeline: what stands for "processed" on the page; default: the preset ``mediastinum``.

    Raises:
        UsageError: the analysis does not hold exactly one slice.
        MissingDependencyError: Jinja2, matplotlib or SciPy is not installed (extra ``report``).
    """
    if len(analysis.records) != 1 or analysis.records[0].frame is not None:
        raise UsageError(f"{len(analysis.records)} slices: the page of one slice needs exactly one; use write_report")
    record = analysis.records[0]
    image = read_as(record.path, analysis.collection.values)
    chain = pipeline or preset(DEFAULT_PRESET)
    is_hu = record.units == "hu"
    image = replace(image, pixels=darkened(image.pixels, image.padding_range, is_hu=is_hu))
    shots = pictures(image.pixels, is_hu=is_hu, pipeline=chain, windows=WINDOWS)
    words = _words(analysis, record, image, chain, shots)
    write_text(out, render("single.html.j2", ("main.js",), {}, **words))
    return Path(out)


def _words(
    analysis: Analysis, record: SliceRecord, image: Image, pipeline: Pipeline, shots: list[Picture]
) -> dict[str, Any]:
    is_hu = record.units == "hu"
    groups, tissues = _tissue_table(analysis, record) if is_hu else ([], [])
    first, steps = shots[: 4 if is_hu else 1], shots[4 if is_hu else 1 :]
    return {
        "title": record.id,
        "subtitle": f"{record.name}: {units_text(record.units)}, {record.shape[0]} × {record.shape[1]} {record.dtype}",
        "sections": _SECTIONS,
        "pictures": [_shown(p) for p in first],
        "steps": [_shown(p) for p in [*_classic(image.pixels), *steps]],
        "pipeline": pipeline.name or pipeline.hash,
        "flags": [(f.rule, f.value) for f in analysis.flags],
        "facts": [("Technical facts", _technical(record, image)), ("Metadata", _metadata(record)),
                  ("Intensity", _statistics(record))],
        "figures": _plots(image.pixels, record, steps),
        "tissue_groups": groups,
        "tissues": tissues,
        "not_hu": "" if is_hu else f"No tissues are named: {not_hu_because(record)}. {CONFIRM_HU}",
    }  # fmt: skip


def _classic(pixels: NDArray[Any]) -> list[Picture]:
    """The three plain results that a first look at a slice asks for, each from the original."""
    plain = ops.normalize(pixels, percentiles=(0.5, 99.5), dtype="uint8")
    return [
        Picture("normalized", "normalised: 0.5th to 99.5th percentile", plain),
        Picture("denoised", "denoised: median 5", ops.median_filter(plain, 5)),
        Picture("enhanced", "enhanced: CLAHE, clip limit 2, 8 × 8 tiles", ops.clahe(plain)),
    ]


def _shown(picture: Picture) -> dict[str, str]:
    return {"title": picture.title, "uri": encoded(picture.pixels, _SIDE, _QUALITY)}


def _technical(record: SliceRecord, image: Image) -> list[tuple[str, str]]:
    size = record.path.stat().st_size
    with record.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    spacing = f"{record.spacing[0]:g} × {record.spacing[1]:g} mm" if record.spacing else "not in the file"
    return [
        ("File", record.path.name), ("Format", record.format), ("Bytes", f"{size:,}"), ("SHA-256", digest),
        ("Rows × columns", f"{record.shape[0]} × {record.shape[1]}"),
        ("Stored as", str(image.meta.get("stored_dtype", ""))),
        ("In memory", f"{record.dtype}, {image.pixels.nbytes:,} bytes"), ("Units", units_text(record.units)),
        ("Pixel spacing", spacing), ("Declared padding", text_of(image.padding) or "none"),
    ]  # fmt: skip


def _metadata(record: SliceRecord) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), text_of(value)) for key, value in record.facts.items()]


def _statistics(record: SliceRecord) -> list[tuple[str, str]]:
    """All but those of the tissue table."""
    tissue_keys = {f"{kind}_{t.key}" for t in TISSUES for kind in ("share", "cm2")}
    keep = {k: v for k, v in record.stats.items() if v is not None and k not in tissue_keys}
    return [(key.replace("_", " "), _number(key, value)) for key, value in keep.items()]


def _number(key: str, value: float) -> str:
    if is_share(key):
        return f"{value:.2%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _tissue_table(analysis: Analysis, record: SliceRecord) -> tuple[list[str], list[dict[str, Any]]]:
    """The tissue table with this slice's shares, and areas where the spacing is known."""
    _, rows = tissue_rows(analysis)
    if record.spacing is None:
        return ["Share"], rows
    for row, tissue in zip(rows, TISSUES, strict=True):
        row["shares"].append(f"{record.stats[f'cm2_{tissue.key}']:.1f}")
    return ["Share", "Area, cm²"], rows


def _plots(pixels: NDArray[Any], record: SliceRecord, steps: list[Picture]) -> list[dict[str, Any]]:
    from markupsafe import Markup

    is_hu = record.units == "hu"
    counts = measure(pixels, units=record.units, spacing=record.spacing).pixels
    wanted: list[tuple[str, str, str, Callable[[Any], Any]]] = [
        ("bar", "Histogram", "Bar chart of all pixels.", lambda ax: figures.histogram(counts, is_hu, ax)),
        ("box", "Box plot" + (" by tissue" if is_hu else ""), "Quartiles and median; whiskers: 5th and 95th "
         "percentile.", lambda ax: figures.box(counts, is_hu, ax)),
        ("scatter", "Neighbouring pixels", "Each pixel against the one to its right (3,000 drawn): a tight diagonal "
         "means smooth, a wide one noisy.", lambda ax: figures.neighbours(pixels, ax)),
    ]  # fmt: skip
    if is_hu:
        wanted.append(("bars", "Tissue composition", "Share of the pixels in each range of the tissue table.",
                       lambda ax: figures.tissues(record, ax)))  # fmt: skip
    if steps and steps[-1].pixels.shape == pixels.shape:
        after = steps[-1].pixels
        wanted.append(("after", "Before against after", "Input value against the grey value after the last step (3,000 "
                       "pixels drawn).", lambda ax: figures.before_after_values(pixels, after, ax)))  # fmt: skip
    return [
        {"title": title, "about": about, "svg": Markup(inline_axes(key, title, one, (6.5, 3.8)))}
        for key, title, about, one in wanted
    ]
