"""What the page says in words and numbers: the set at a glance, what stands out, every rule with its slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from ctfast.analysis.flags.rules import LEVELS, by_rule
from ctfast.analysis.pages.thumbnails import ITEMS, PER_ITEM
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.compare import Separation
from ctfast.analysis.scan.statistics import is_share
from ctfast.analysis.scan.tissues import TISSUES
from ctfast.analysis.wording import CONFIRM_HU, not_hu_because, plural, units_text

_MOST_ROWS: Final = 8
_COUNTED: Final = {"label": "Classes", "series": "Series", "scanner": "Scanners",
                   "kernel": "Reconstruction kernels", "slice_thickness": "Slice thickness, mm",
                   "rescale_intercept": "Rescale intercepts", "split": "Splits"}  # fmt: skip


def tiles(analysis: Analysis) -> list[dict[str, str]]:
    """The numbers at the top of the page."""
    records, collection = analysis.records, analysis.collection
    sizes = Counter(f"{r.shape[0]} × {r.shape[1]}" for r in records).most_common()
    units = Counter(units_text(r.units) for r in records).most_common()
    files = plural(len({r.path for r in records}), "file")
    levels = Counter(f.rule.level for f in analysis.flags)
    shown = [
        ("Slices", f"{len(records):,}", f"in {files}"),
        ("Size", _first(sizes), _others(sizes)),
        ("Units", _first(units), _others(units)),
        *_known_tiles(analysis),
        ("Flags", f"{len(analysis.flags):,}", ", ".join(plural(levels[k], k) for k in LEVELS if levels[k])),
        ("Not readable", f"{len(collection.unread):,}", "files, listed at the end"),
    ]
    return [{"name": name, "value": value, "more": more} for name, value, more in shown]


def _known_tiles(analysis: Analysis) -> Iterator[tuple[str, str, str]]:
    """What only some sets tell."""
    records, collection = analysis.records, analysis.collection
    low = [r.stats["min"] for r in collection.hu if r.stats["min"] is not None]
    high = [r.stats["max"] for r in collection.hu if r.stats["max"] is not None]
    if low and high:
        yield "Range", f"{min(low):g} to {max(high):g}", "HU, all pixels"
    labels = Counter(r.label for r in records if r.label).most_common()
    if labels:
        yield "Classes", str(len(labels)), ", ".join(f"{n:,} {label}" for label, n in labels[:4])
    patients = {r.facts["patient"] for r in records if r.facts.get("patient")}
    if patients:
        yield "Patients", f"{len(patients):,}", "by DICOM PatientID"
    ages = [age for r in records if isinstance(age := r.facts.get("age"), (int, float))]
    if ages:
        yield "Age", f"{min(ages):g} to {max(ages):g}", "years"
    series = collection.count("series")
    if series:
        yield "Series", f"{len(series):,}", f"by Series Instance UID, {plural(series[0][1], 'slice')} in the largest"
    scanners = collection.count("scanner")
    if scanners:
        yield "Scanners", f"{len(scanners)}", "models"


def _first(counted: list[tuple[str, int]]) -> str:
    return counted[0][0] if counted else "none"


def _others(counted: list[tuple[str, int]]) -> str:
    if len(counted) < 2:
        return "all slices" if counted else ""
    rest = ", ".join(f"{n:,} {name}" for name, n in counted[1:4])
    return f"{counted[0][1]:,} slices; also {rest}{' and others' if len(counted) > 4 else ''}"


def fact_tables(analysis: Analysis) -> list[dict[str, Any]]:
    """Scanners, kernels and so on, with bars."""
    tables = []
    for fact, title in _COUNTED.items():
        rows = analysis.collection.count(fact)
        if rows and (fact != "series" or rows[0][1] > 1):  # one slice of each series: nothing to group
            most = rows[0][1]
            shown = [(name, n, round(100 * n / most, 1)) for name, n in rows[:_MOST_ROWS]]
            tables.append({"title": title, "rows": shown, "more": max(0, len(rows) - _MOST_ROWS)})
    return tables


def findings(analysis: Analysis) -> list[dict[str, str]]:
    """One sentence a rule that was met, and what separates the classes."""
    sentences = [
        {"level": rule.level, "text": f"{rule.title}: {rule.summarize(analysis.records, flags)}.",
         "href": f"flag-{rule.key}"}
        for rule, flags in by_rule(analysis.flags).items()
    ]  # fmt: skip
    separated = analysis.separations
    if separated and separated[1]:
        classes, rows = separated
        band = next((s for s in rows if s.key == "contrast_band_share"), rows[0])
        strongest = dict.fromkeys((band, rows[0]))
        sentences += [{"level": "note", "text": _separation(classes, one), "href": ""} for one in strongest]
    return sentences


def _separation(classes: tuple[str, str], one: Separation) -> str:
    first, second = (f"{median:.1%}" if is_share(one.key) else f"{median:.4g}" for median in one.medians)
    return (
        f"The {one.name} alone separates “{classes[0]}” from “{classes[1]}” with an AUC of {one.auc:.2f} "
        f"(medians {first} and {second})."
    )


def rule_blocks(analysis: Analysis) -> list[dict[str, Any]]:
    """Every rule that was met, with the slices to show."""
    blocks = []
    for rule, flags in by_rule(analysis.flags).items():
        items = [
            {
                "slices": [{"index": i, "id": analysis.records[i].id} for i in flag.slices[:PER_ITEM]],
                "more": max(0, len(flag.slices) - PER_ITEM),
                "value": flag.value,
            }
            for flag in flags[:ITEMS]
        ]
        count = plural(len({i for f in flags for i in f.slices}), "slice")
        blocks.append({
            "key": rule.key, "title": rule.title, "level": rule.level, "explanation": rule.explanation,
            "threshold": rule.threshold, "source": rule.source, "count": count, "filter": rule.title.lower(),
            "shown": items, "more": max(0, len(flags) - ITEMS),
        })  # fmt: skip
    return blocks


def separation_table(analysis: Analysis) -> dict[str, Any] | None:
    """The strongest statistics and every fact of acquisition."""
    separated = analysis.separations
    if not separated or not separated[1]:
        return None
    (first, second), rows = separated
    chosen = [s for i, s in enumerate(rows) if i < _MOST_ROWS or s.confound]
    shown = [
        {"name": s.name, "auc": f"{s.auc:.3f}", "first": f"{s.medians[0]:.4g}", "second": f"{s.medians[1]:.4g}",
         "confound": s.confound}
        for s in chosen
    ]  # fmt: skip
    return {"first": first, "second": second, "rows": shown}


def tissue_rows(analysis: Analysis) -> tuple[list[str], list[dict[str, Any]]]:
    """Names of the groups, and the tissue table with each group's share of all pixels."""
    groups = analysis.pixels
    rows = []
    for t in TISSUES:
        shares = [f"{100 * d.count(t.low, t.high) / max(d.total, 1):.2f}%" for d in groups.values()]
        rows.append({"label": t.label, "name": t.name, "range": t.range_text, "color": t.color, "shares": shares,
                     "published": t.published, "source": t.source})  # fmt: skip
    return list(groups), rows


def not_hu(analysis: Analysis) -> str:
    """Why slices have no tissues, and what to do; nothing where all are HU."""
    others = [r for r in analysis.records if r.units != "hu"]
    if not others:
        return ""
    reasons = "; ".join(sorted({not_hu_because(r) for r in others}))
    return f"No tissues are named in {plural(len(others), 'slice')}: {reasons}. {CONFIRM_HU}"
