"""What the page's scripts work on: the table, the flags of each slice and the pictures, as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ctfast.analysis.flags.rules import RULES, Flag
from ctfast.analysis.pages.thumbnails import Picture, encoded, pictures, window_of
from ctfast.analysis.plots import class_colors
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.scan_set import in_order
from ctfast.analysis.scan.table import COLUMNS, Column, Row, raw
from ctfast.batch.progress import Show, silent
from ctfast.files import UnitsChoice, read_image
from ctfast.pipeline import Pipeline
from ctfast.threads import get_num_threads

WINDOWS: Final = ("mediastinum", "lung", "bone")
MAIN: Final = f"window-{WINDOWS[0]}"
MOST_PICTURED: Final = 150
"""Slices with pictures; a set that is not larger shows them all."""
ITEMS: Final = 24
"""Slices (or groups of them) shown under each rule."""
PER_ITEM: Final = 6
"""Slices of a group that are shown."""
_RULE_SHARE: Final = 0.75
_SIDE: Final = 320
_SMALL_SIDE: Final = 224
_SIDE_FROM: Final = 60


@dataclass(frozen=True)
class Gallery:
    """Pictures of the chosen slices; ``uris[place][k]`` shows kind ``k``, None where the slice has none."""

    kinds: list[dict[str, Any]]
    uris: dict[int, list[str | None]]
    side: int


def chosen_places(analysis: Analysis, most: int = MOST_PICTURED) -> list[int]:
    """All slices, or of a large set those shown under the rules (up to three quarters) and an even sample."""
    count = len(analysis.records)
    if count <= most:
        return list(range(count))
    shown: dict[int, None] = {}
    groups = by_rule(analysis.flags)
    for rank in range(ITEMS):
        for flags in groups.values():
            for place in flags[rank].slices[:PER_ITEM] if rank < len(flags) else ():
                if len(shown) < _RULE_SHARE * most:
                    shown[place] = None
    sample = np.linspace(0, count - 1, most).astype(int).tolist()
    rest = [p for p in sample if p not in shown]
    step = max(1, math.ceil(len(rest) / (most - len(shown))))
    return sorted([*shown, *rest[::step]])


def by_rule(flags: Sequence[Flag]) -> dict[str, list[Flag]]:
    """Flags by the key of their rule, in the order in which they are shown."""
    groups: dict[str, list[Flag]] = {}
    for flag in flags:
        groups.setdefault(flag.rule.key, []).append(flag)
    return groups


def make_gallery(
    analysis: Analysis, pipeline: Pipeline, *, units: UnitsChoice = "auto", show: Show = silent
) -> Gallery:
    """Read the chosen slices again and make their pictures; files that have gone since are left out."""
    places = chosen_places(analysis)
    side = _SIDE if len(places) <= _SIDE_FROM else 256 if len(analysis.records) <= MOST_PICTURED else _SMALL_SIDE

    def work(place: int) -> list[tuple[Picture, str]]:
        record = analysis.records[place]
        return [(p, encoded(p.pixels, side)) for p in slice_pictures(record, pipeline, units)]

    kinds: dict[str, str] = {}
    found: dict[int, dict[str, str]] = {}
    for done, (place, made) in enumerate(zip(places, in_order(work, places, get_num_threads())), 1):
        for picture, uri in made:
            key = MAIN if picture.key == "range" else picture.key
            if key != MAIN:
                kinds.setdefault(key, picture.title)
            found.setdefault(place, {})[key] = uri
        show(done=done, failed=0)
    titles = {MAIN: _main_title(analysis), **dict(sorted(kinds.items(), key=_kind_order))}
    listed = [{"key": k, "title": title, "legend": k == "tissues"} for k, title in titles.items()]
    return Gallery(listed, {p: [uris.get(k) for k in titles] for p, uris in found.items()}, side)


def slice_pictures(record: SliceRecord, pipeline: Pipeline, units: UnitsChoice) -> list[Picture]:
    """The pictures of a slice; a first step that repeats a window is left out, no pictures for one that fails now."""
    try:
        pixels = read_image(record.path, units=units).pixels
        image = pixels if record.frame is None else pixels[record.frame]
        made = pictures(image, is_hu=record.units == "hu", pipeline=pipeline, windows=WINDOWS)
    except Exception:  # the figures were taken before; a page without this picture is better than no page
        return []
    windows = [p for p in made if p.key.startswith("window-")]
    return [
        p for p in made if p.key != "step-1" or not any(np.array_equal(p.pixels, window.pixels) for window in windows)
    ]


def _main_title(analysis: Analysis) -> str:
    known = len(analysis.collection.hu)
    center, width = window_of(WINDOWS[0])
    title = f"{WINDOWS[0]} window ({center:g}/{width:g} HU)"
    other = "1st to 99th percentile as grey"
    if known == len(analysis.records):
        return title
    return f"{title}; values that are no HU: {other}" if known else other


def _kind_order(item: tuple[str, str]) -> int:
    """Windows, then tissues, then steps, each in the order of the slices."""
    groups = ("window-", "tissues", "step-")
    return next(i for i, group in enumerate(groups) if item[0].startswith(group))


def page_data(analysis: Analysis, gallery: Gallery) -> dict[str, Any]:
    """The object that the scripts read."""
    rows = analysis.table.rows
    columns = [c for c in COLUMNS if c.key in ("slice", "flags") or any(raw(row, c) not in (None, "") for row in rows)]
    keys = list(RULES)
    details: list[list[tuple[int, str]]] = [[] for _ in rows]
    for flag in analysis.flags:
        for place in flag.slices:
            details[place].append((keys.index(flag.rule.key), flag.value))
    labels = [r.label for r in analysis.records]
    return {
        "columns": [{"key": c.key, "title": c.title, "help": c.help, "digits": c.digits, "percent": c.percent}
                    for c in columns],
        "names": [r.name if r.frame is None else f"{r.name} [{r.frame}]" for r in analysis.records],
        "labels": labels,
        "colors": class_colors(labels),
        "rows": [[_short(row, c) for c in columns] for row in rows],
        "flags": [[keys.index(key) for key in rules] for rules in analysis.rules_of],
        "details": details,
        "rules": [{"key": r.key, "title": r.title, "level": r.level} for r in RULES.values()],
        "kinds": gallery.kinds,
        "pictures": gallery.uris,
        "side": gallery.side,
        "thumb": 0,
    }  # fmt: skip


def _short(row: Row, column: Column) -> Any:
    value = raw(row, column)
    return float(f"{value:.7g}") if isinstance(value, float) else value
