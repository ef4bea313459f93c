"""Small JPEG pictures of slices as data URIs, and which slices of a set get some."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.analysis.flags.rules import by_rule
from ctfast.analysis.plots.pictures import Picture, pictures, window_of
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.padding import darkened
from ctfast.analysis.scan.records import SliceRecord
from ctfast.batch.progress import Progress, no_progress
from ctfast.batch.workers import bounded_map
from ctfast.errors import missing_extra
from ctfast.files.reading import read_as
from ctfast.files.values import Values
from ctfast.pipeline import Pipeline
from ctfast.threads import get_num_threads

WINDOWS: Final = ("mediastinum", "lung", "bone")
MOST_PICTURED: Final = 150
"""Slices with pictures; a set that is not larger shows them all."""
ITEMS: Final = 24
"""Slices (or groups of them) shown under each rule."""
PER_ITEM: Final = 6
"""Slices of a group that are shown."""
_MAIN: Final = f"window-{WINDOWS[0]}"
_MAIN_OF_OTHERS: Final = "range"
"""Key of the picture that stands for the window where values are no HU."""
_RULE_SHARE: Final = 0.75
_SIDE_FROM: Final = 60


@dataclass(frozen=True)
class Gallery:
    """Pictures of the chosen slices; ``uris[index][k]`` shows kind ``k``, None where the slice has none."""

    kinds: list[dict[str, Any]]
    uris: dict[int, list[str | None]]
    side: int


def chosen_slices(analysis: Analysis, most: int = MOST_PICTURED) -> list[int]:
    """All slices, or of a large set those shown under the rules (up to three quarters) and an even sample."""
    count = len(analysis.records)
    if count <= most:
        return list(range(count))
    shown: dict[int, None] = {}
    groups = by_rule(analysis.flags)
    for rank in range(ITEMS):
        for flags in groups.values():
            for index in flags[rank].slices[:PER_ITEM] if rank < len(flags) else ():
                if len(shown) < _RULE_SHARE * most:
                    shown[index] = None
    sample = np.linspace(0, count - 1, most).astype(int).tolist()
    rest = [index for index in sample if index not in shown]
    step = max(1, math.ceil(len(rest) / (most - len(shown))))
    return sorted([*shown, *rest[::step]])


def make_gallery(analysis: Analysis, pipeline: Pipeline, *, progress: Progress = no_progress) -> Gallery:
    """Read the chosen slices again and make their pictures; files that have gone since are left out."""
    chosen = chosen_slices(analysis)
    side = _side_of(len(chosen), len(analysis.records))

    def encode(index: int) -> list[tuple[Picture, str]]:
        made = slice_pictures(analysis.records[index], pipeline, analysis.collection.values)
        return [(picture, encoded(picture.pixels, side)) for picture in made]

    titles = {_MAIN: _main_title(analysis)}
    uris: dict[int, dict[str, str]] = {}
    for done, (index, made) in enumerate(zip(chosen, bounded_map(encode, chosen, get_num_threads())), 1):
        for picture, uri in made:
            key = _MAIN if picture.key == _MAIN_OF_OTHERS else picture.key
            titles.setdefault(key, picture.title)
            uris.setdefault(index, {})[key] = uri
        progress(done=done, failed=0)
    keys = sorted(titles, key=_kind_order)
    kinds = [{"key": key, "title": titles[key], "legend": key == "tissues"} for key in keys]
    return Gallery(kinds, {index: [row.get(key) for key in keys] for index, row in uris.items()}, side)


def _side_of(pictured: int, slices: int) -> int:
    """Pixels of a picture's side: smaller ones in larger sets, so that the page stays small."""
    if pictured <= _SIDE_FROM:
        return 320
    return 256 if slices <= MOST_PICTURED else 224


def slice_pictures(record: SliceRecord, pipeline: Pipeline, values: Values) -> list[Picture]:
    """The pictures of a slice; a first step that repeats a window is left out, no pictures for one that fails now."""
    try:
        read, is_hu = read_as(record.path, values), record.units == "hu"
        pixels = read.pixels if record.frame is None else read.pixels[record.frame]
        image = darkened(pixels, read.padding_range, is_hu=is_hu)
        made = pictures(image, is_hu=is_hu, pipeline=pipeline, windows=WINDOWS)
    except Exception:  # the statistics were taken before; a page without this picture is better than no page
        return []
    windows = [p.pixels for p in made if p.key.startswith("window-")]
    return [p for p in made if p.key != "step-1" or not any(np.array_equal(p.pixels, window) for window in windows)]


def _main_title(analysis: Analysis) -> str:
    known = len(analysis.collection.hu)
    center, width = window_of(WINDOWS[0])
    title = f"{WINDOWS[0]} window ({center:g}/{width:g} HU)"
    other = "1st to 99th percentile as grey"
    if known == len(analysis.records):
        return title
    return f"{title}; values that are no HU: {other}" if known else other


def _kind_order(key: str) -> int:
    """Windows, then tissues, then steps, each in the order of the slices."""
    return next(i for i, group in enumerate(("window-", "tissues", "step-")) if key.startswith(group))


def encoded(pixels: NDArray[np.uint8], side: int | None, quality: int = 60) -> str:
    """A JPEG data URI, at most ``side`` pixels on the longer side.

    WebP would be 30 % smaller but takes 6 ms a picture of 320 x 320 instead of 0.3.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("pictures need matplotlib", "report") from error
    picture = Image.fromarray(pixels)
    longest = max(picture.size)
    if side is not None and longest > side:
        width, height = (max(1, round(n * side / longest)) for n in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    out = io.BytesIO()
    picture.save(out, "jpeg", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
