"""What the page says in words and numbers: the set at a glance, what stands out, every rule with its slices."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from ctfast.analysis.flags.rules import LEVELS, RULES, Flag
from ctfast.analysis.pages.json_data import ITEMS, PER_ITEM, by_rule
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.records import text_of
from ctfast.analysis.scan.tissues import TISSUES

_MOST_ROWS: Final = 8
_MOST_NAMED: Final = 6
MEANINGS: Final = {"hu": "HU", "stored": "stored values", "unknown": "unknown unit"}


def plural(count: int, word: str, more: str = "") -> str:
    """``1 slice``, ``2 slices``."""
    return f"{count:,} {word if count == 1 else more or word + 's'}"


def tiles(analysis: Analysis) -> list[dict[str, str]]:
    """The figures at the top of the page."""
    records = analysis.records
    files = len({r.path for r in records})
    sizes = Counter(f"{r.shape[0]} × {r.shape[1]}" for r in records).most_common()
    meanings = Counter(MEANINGS[r.units] for r in records).most_common()
    low = [r.stats["min"] for r in analysis.collection.hu if r.stats["min"] is not None]
    high = [r.stats["max"] for r in analysis.collection.hu if r.stats["max"] is not None]
    labels = Counter(r.label for r in records if r.label).most_common()
    patients = {r.facts["patient"] for r in records if r.facts.get("patient")}
    scanners = analysis.collection.count("scanner")
    levels = Counter(f.rule.level for f in analysis.flags)
    ages = [r.facts["age"] for r in records if isinstance(r.facts.get("age"), (int, float))]
    found = [
        ("Slices", f"{len(records):,}", f"in {plural(files, 'file')}"),
        ("Size", _first(sizes), _others(sizes)),
        ("Values", _first(meanings), _others(meanings)),
    ]
    if low and high:
        found.append(("Range", f"{min(low):g} to {max(high):g}", "HU, all pixels"))
    if labels:
        shown = ", ".join(f"{n:,} {label}" for label, n in labels[:4])
        found.append(("Classes", str(len(labels)), shown))
    if patients:
        found.append(("Patients", f"{len(patients):,}", "by DICOM PatientID"))
    if ages:
        found.append(("Age", f"{min(ages):g} to {max(ages):g}", "years"))  # type: ignore[type-var]
    if scanners:
        found.append(("Scanners", f"{len(scanners)}", "models"))
    found.append(("Flags", f"{len(analysis.flags):,}", ", ".join(plural(levels[k], k) for k in LEVELS if levels[k])))
    found.append(("Not readable", f"{len(analysis.collection.unread):,}", "files, listed at the end"))
    return [{"name": name, "value": value, "more": more} for name, value, more in found]


def _first(counted: list[tuple[str, int]]) -> str:
    return counted[0][0] if counted else "none"


def _others(counted: list[tuple[str, int]]) -> str:
    if len(counted) < 2:
        return "all slices" if counted else ""
    rest = ", ".join(f"{n:,} {name}" for name, n in counted[1:4])
    return f"{counted[0][1]:,} slices; also {rest}{' and others' if len(counted) > 4 else ''}"


def fact_tables(analysis: Analysis) -> list[dict[str, Any]]:
    """Scanners, kernels and so on, with bars."""
    wanted = {"label": "Classes", "scanner": "Scanners", "kernel": "Reconstruction kernels",
              "slice_thickness": "Slice thickness, mm", "rescale_intercept": "Rescale intercepts",
              "split": "Splits"}  # fmt: skip
    found = []
    for fact, title in wanted.items():
        rows = analysis.collection.count(fact)
        if rows:
            most = rows[0][1]
            shown = [(name, n, round(100 * n / most, 1)) for name, n in rows[:_MOST_ROWS]]
            found.append({"title": title, "rows": shown, "more": max(0, len(rows) - _MOST_ROWS)})
    return found


def findings(analysis: Analysis) -> list[dict[str, str]]:
    """One sentence a rule that was met, and what separates the classes."""
    found = []
    for key, flags in by_rule(analysis.flags).items():
        rule = RULES[key]
        found.append(
            {"level": rule.level, "text": f"{rule.title}: {_told(analysis, key, flags)}", "href": f"flag-{key}"}
        )
    separated = analysis.separations
    if separated and separated[1]:
        (first, second), rows = separated
        band = next((s for s in rows if s.key == "contrast_band_share"), rows[0])
        best = rows[0]
        for s in dict.fromkeys((band, best)):
            percent = s.key.endswith("_share") or s.key.startswith("body_")
            a, b = (f"{m:.1%}" if percent else f"{m:.4g}" for m in s.medians)
            text = (
                f"The {s.name} alone separates “{first}” from “{second}” with an AUC of {s.auc:.2f} "
                f"(medians {a} and {b})."
            )
            found.append({"level": "note", "text": text, "href": ""})
    return found


def _told(analysis: Analysis, key: str, flags: list[Flag]) -> str:
    records = analysis.records
    if key == "padding":
        units = Counter(text_of(records[f.slices[0]].stats["padding_value"]) for f in flags)
        shown = ", ".join(f"{v} HU in {plural(n, 'slice')}" for v, n in units.most_common(4))
        return f"{plural(len(flags), 'slice')} ({shown})."
    if key in ("duplicate", "two_formats", "label_leak", "split_leak"):
        words = {"label_leak": ("patient", "patients")}.get(key, ("group of slices", "groups of slices"))
        shown = "; ".join(f.value for f in flags[:_MOST_NAMED])
        return f"{plural(len(flags), *words)} ({shown}{'; …' if len(flags) > _MOST_NAMED else ''})."
    if len(flags) <= 2:
        return "; ".join(f"{records[f.slices[0]].id}, {f.value}" for f in flags) + "."
    names = ", ".join(records[f.slices[0]].id for f in flags[:_MOST_NAMED])
    return f"{plural(len(flags), 'slice')} ({names}{', …' if len(flags) > _MOST_NAMED else ''})."


def rule_blocks(analysis: Analysis) -> list[dict[str, Any]]:
    """Every rule that was met, with the slices to show."""
    blocks = []
    for key, flags in by_rule(analysis.flags).items():
        rule = RULES[key]
        items = [
            {
                "slices": [{"place": p, "id": analysis.records[p].id} for p in flag.slices[:PER_ITEM]],
                "more": max(0, len(flag.slices) - PER_ITEM),
                "value": flag.value,
            }
            for flag in flags[:ITEMS]
        ]
        count = plural(len({p for f in flags for p in f.slices}), "slice")
        blocks.append({
            "key": key, "title": rule.title, "level": rule.level, "explanation": rule.explanation,
            "threshold": rule.threshold, "source": rule.source, "count": count, "filter": rule.title.lower(),
            "shown": items, "more": max(0, len(flags) - ITEMS),
        })  # fmt: skip
    return blocks


def separation_table(analysis: Analysis) -> dict[str, Any] | None:
    """The strongest figures and every fact of acquisition."""
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
