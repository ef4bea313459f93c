"""The report of a set: one self-contained HTML file, made with Jinja2."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ctfast import __version__
from ctfast.analysis.flags.outliers import LARGEST_Z
from ctfast.analysis.flags.rules import DISCLAIMER
from ctfast.analysis.pages import text
from ctfast.analysis.pages.json_data import page_data
from ctfast.analysis.pages.svg import inline, plans
from ctfast.analysis.pages.thumbnails import MOST_PICTURED, Gallery, make_gallery
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.wording import plural
from ctfast.batch.atomic import write_text
from ctfast.batch.progress import Progress, no_progress
from ctfast.errors import missing_extra
from ctfast.pipeline import Pipeline
from ctfast.presets import preset

TEMPLATES: Final = Path(__file__).parent / "templates"
SCRIPTS: Final = ("main.js", "table.js", "viewer.js", "gallery.js", "scatter.js")
DEFAULT_PRESET: Final = "mediastinum"

_SECTIONS: Final = (
    ("glance", "At a glance"), ("flags", "Flags"), ("intensity", "Intensity"), ("scatter", "Scatter plots"),
    ("tissues", "Tissues"), ("gallery", "Gallery"), ("table", "All slices"), ("files", "Files"),
)  # fmt: skip
_GROUPS: Final = {"histogram": "intensity", "box": "intensity", "scatter": "scatter", "tissues": "tissues"}
_SHAPES: Final = {"box-slice": "wide", "tissues-slice": "wide", "box-tissue": "tall", "tissues-class": "wide"}
_MOST_LISTED: Final = 500


def write_report(
    analysis: Analysis,
    out: str | Path,
    *,
    pipeline: Pipeline | None = None,
    title: str = "CT intensity report",
    progress: Progress = no_progress,
) -> Path:
    """Write the report of a set.

    Args:
        analysis: what ``analyze`` returned.
        out: the HTML file.
        pipeline: whose steps the gallery shows; default: the preset ``mediastinum``.
        title: heading of the page.
        progress: called after each slice that is pictured.

    Raises:
        MissingDependencyError: Jinja2, matplotlib or SciPy is not installed (extra ``report``).
    """
    gallery = make_gallery(analysis, pipeline or preset(DEFAULT_PRESET), progress=progress)
    words = _words(analysis, gallery)
    write_text(out, render("report.html.j2", SCRIPTS, page_data(analysis, gallery), title=title, **words))
    return Path(out)


def render(template: str, scripts: Sequence[str], data: dict[str, Any], **words: Any) -> str:
    """A page with everything it needs inside; every value is escaped by Jinja2 or, in the data, as JSON."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise missing_extra("the report needs Jinja2", "report") from error
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # A "<" in the data could end the script element; JSON reads the escape as the same character.
    plain = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return environment.get_template(template).render(
        css=Markup(_template("style.css")),
        js=Markup("\n".join(map(_template, scripts))),
        data=Markup(plain),
        version=__version__,
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        disclaimer=DISCLAIMER,
        **words,
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _words(analysis: Analysis, gallery: Gallery) -> dict[str, Any]:
    from markupsafe import Markup

    collection = analysis.collection
    figures = [
        {"title": plan.title, "about": plan.about, "svg": Markup(inline(plan, analysis)),
         "shape": _SHAPES.get(plan.key, ""), "group": _GROUPS[plan.key.split("-")[0]]}
        for plan in (plans(analysis) if analysis.records else [])
    ]  # fmt: skip
    tissue_groups, tissues = text.tissue_rows(analysis)
    sections = [(key, name) for key, name in _SECTIONS if figures or key not in ("intensity", "scatter")]
    return {
        "subtitle": f"{', '.join(collection.inputs)}: {plural(len(analysis.records), 'slice')}, measured in "
                    f"{collection.seconds:.1f} s",
        "sections": sections,
        "tiles": text.tiles(analysis),
        "findings": text.findings(analysis),
        "notes": [*collection.notes, *([] if analysis.records else ["No image was found or read in the inputs."])],
        "facts": text.fact_tables(analysis),
        "separation": text.separation_table(analysis),
        "rules": text.rule_blocks(analysis),
        "figures": figures,
        "outlier_z": f"{LARGEST_Z:g}",
        "not_hu": text.not_hu(analysis),
        "tissue_groups": tissue_groups,
        "tissues": tissues,
        "sampled": _sampled(analysis, gallery),
        "unread": collection.unread[:_MOST_LISTED],
        "unread_total": _total(collection.unread),
        "ignored": collection.ignored[:_MOST_LISTED],
        "ignored_total": _total(collection.ignored),
    }  # fmt: skip


def _total(listed: Sequence[object]) -> str:
    return f"{len(listed):,}" + (f", the first {_MOST_LISTED} are listed" if len(listed) > _MOST_LISTED else "")


def _sampled(analysis: Analysis, gallery: Gallery) -> str:
    if len(analysis.records) <= MOST_PICTURED:
        return ""
    return (
        f"{len(gallery.uris):,} of {len(analysis.records):,} slices are pictured: the first ones of every rule, and an "
        "even sample of the others."
    )
