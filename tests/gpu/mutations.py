"""The bugs that are planted in our kernels: those of ``planting.py`` wherever they make a difference, and some by hand.

A place where a change makes no difference is named with the reason why.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

from ctkernels.gpu._core import source
from tests.cuda_on_host import planting
from tests.gpu.units import SOURCES

FUSED: Final = {
    "window_median": "median_filter",
    "window_gaussian": "gaussian_filter",
    "clahe_histogram": "clahe",
}
"""Units made of the headers of another, whose planted bugs stand for theirs."""

# unit -> (what, where with the right expression between « and », the wrong one)
BY_HAND: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "label_tissue": (
        ("edge reached one too late", "«key[i] >= edge»", "key[i] > edge"),
        ("NaN labelled as a number", "«ctk_is_nan(in[i])» ? CTK_NO_LABEL", "false"),
        ("one edge not loaded", "«k < number»; k += int(blockDim.x)", "k < number - 1"),
        ("the rest of a row forgotten", "«i < (head - start) + (end - tail)»", "i < head - start"),
        ("last vector beyond the end", "const long long groups = «(end - head) / V»;", "(end - head + V - 1) / V"),
        (
            "vectors without alignment",
            "const bool vectors = «ctk_aligned(x, V * int(sizeof(A))) && ctk_aligned(out, V * int(sizeof(B)))»",
            "true",
        ),
    ),
    "masked": (
        ("mask the wrong way round", "«__ldg(keep + i)» ? OUT", "!__ldg(keep + i)"),
        ("the rest forgotten", "i < «count»; i += stride", "count - 1"),
    ),
    "standardize": (
        ("an image without pixels gets a given mean", "m.count == 0 && «(own_mean || own_sd)»", "own_sd"),
        ("the given deviation ignored", "m.sd = «own_sd ? m.sd : given_sd»;", "m.sd"),
    ),
    "normalize": (("clipped although not asked for", "return !«clip» ? u", "1"),),
    "rescale": (("the rest of a row forgotten", "«i < (head - start) + (end - tail)»", "i < head - start"),),
    "window": (("the first pixels forgotten", "«start + i» : tail + (i - (head - start))", "tail"),),
    "median_filter": (
        (
            "halo one row short",
            "«(word_rows + CTK_ROWS - 1) * CTK_PLANES»; r += CTK_WARPS",
            "(word_rows + CTK_ROWS - 2) * CTK_PLANES",
        ),
        ("mirror taken for reflect", "«period - 1 - j» : period - j", "period - j"),
        ("store beyond the row", "«column + k < width»", "column + k <= width"),
    ),
    "median_footprint": (
        ("rank one too high", "«below <= rank» ? candidate", "below <= rank + 1"),
        ("the border not looked for", "if («!inside») {", "false"),
        ("a pixel of the window forgotten", "k < «ones»; k++", "ones - 1"),
        ("another image", "x + «(i - ((long long)plane * height + row) * width - column)»", "0"),
    ),
    "gaussian_filter": (
        ("halo one row short", "«r < t.height + 2 * t.ry»; r += CTK_WARPS", "r < t.height + 2 * t.ry - 1"),
        ("border one row off", "ctk_border(«y0 - t.ry + r», height, mode)", "y0 - t.ry + r + 1"),
        ("one weight not loaded", "«i < t.ry + t.rx + 2»; i +=", "i < t.ry + t.rx + 1"),
    ),
    "clahe": (
        ("clipped one too late", "cut += «max(n - r.limit, 0)»", "max(n - r.limit - 1, 0)"),
        (
            "upper and lower tables swapped",
            "«__fadd_rn(__fmul_rn(above, up), __fmul_rn(below, down))»",
            "__fadd_rn(__fmul_rn(above, down), __fmul_rn(below, up))",
        ),
    ),
    "median_volume": (
        (
            "a plane too far",
            "ctk_border(«plane - CTK_PLANES / 2 + r % CTK_PLANES», depth",
            "plane - CTK_PLANES / 2 + 1 + r % CTK_PLANES",
        ),
        ("planes of another volume", "x + «(image - plane)» * height * width", "image"),
        ("windows of the row above", "&tile[«row * CTK_PLANES»][4", "max(row - 1, 0) * CTK_PLANES"),
    ),
    "median_volume_large": (
        ("one row for all planes", "const int r = «VOLUME ? row / planes : row»;", "row"),
        ("planes of another volume", "source = {x + «(image - plane)» * height", "image"),
        ("a step of one row", "walk.step = «planes», walk.lane = lane;", "1"),
        ("rows of the first plane alone", "for (int r = 0; r < rows; r += «step») count", "step + 1"),
    ),
    "gaussian_derivative": (
        ("no change of sign before the pixel", "(behind + «sign» * before)", "1.0"),
        ("one weight forgotten", "k <= «radius»; k++", "radius - 1"),
        ("cval forgotten", "b < 0 ? «outside»", "0.0"),
        ("a neighbour of another axis", "ctk_wide(__ldg(line + «a * inner»))", "a"),
        ("another line", "x + «(i - place * inner)»", "i"),
    ),
    "gaussian_volume": (
        ("a band that begins one row off", "«first_row + y0», mode", "first_row + y0 + 1"),
        ("beyond the last plane", "if («z0 + k < depth») result", "true"),
        ("planes not mirrored", "const int z = «ctk_border(z0 + k, depth, mode)»;", "min(max(z0 + k, 0), depth - 1)"),
        ("sums of another volume", "sums + «volume * depth * pixels» + at", "at"),
        ("cval forgotten", "return z < 0 ? «cval» : source", "ctk_sum(0)"),
    ),
    "clahe_volume": (
        ("layers swapped", "__fadd_rn(__fmul_rn(p, «kept_share»)", "behind"),
        ("no mirror beyond the last plane", "«ctk_border(z + k, depth, CTK_MIRROR)»", "min(z + k, depth - 1)"),
        ("the layer behind taken twice", "first_box + «max(before, 0)» * layer", "min(before + 1, tiles_z - 1)"),
        ("pixels of one plane counted", "«tile_d * tile_h * tile_w», ctk_level_span", "tile_h * tile_w"),
        ("neighbours of the same layer alone", "int c = «max(k - 1, 0)»;", "k"),
    ),
    "histogram": (
        ("a copy of the counters forgotten", "«c < copies»; c++", "c < copies - 1"),
        ("counters not cleared", "«ctk_tally[i] = 0»;", "0u"),
        ("last edge not included", "if (key < begin || «key > end») return -1;", "key >= end"),
    ),
    "match_histogram": (
        ("values before a block forgotten", "before += «v < begin» ? n", "false"),
        ("values of the warps before forgotten", "before += «room[w]»;", "0"),
        ("values outside the range counted", "«v >= first && v <= last» ? mine[v] : 0;\n            total", "true"),
        ("a line beyond the last knot", "if («low == r.knots») return level;", "false"),
        ("levels of another image", "levels + «(long long)image * span» + (ctk_in", "0"),
    ),
    "match_ranks": (
        ("zeros of two signs are two values", "return «key == -1 ? 0 : key»;", "key"),
        ("one end of the range left out", "«ctk_key(v) <= end») key", "ctk_key(v) < end"),
        ("tiles sorted one way", "«((place + at.low) & size) == 0»", "(at.low & size) == 0"),
        ("pairs of all images alike", "«((at.low & (padded - 1)) & size) == 0»", "true"),
        ("pixels that do not count counted", "ctk_number(v)), «total»));", "padded"),
        ("equal pixels left out", "WITH ? «k <= key»", "k < key"),
    ),
    "summary": (
        ("upper neighbour of a percentile lost", "«(s & 1) && lower + 1 < count» ? lower + 1 : lower", "false"),
    ),
}

# (unit, what, beginning of the nearest line of code before) -> why nothing changes there
NO_DIFFERENCE: Final = {
    ("median_large", "barrier removed", "out[(image * height"): "the next image's vote of the block is a barrier, too",
    ("median_large", "warp barrier removed", "for (int l = 0; l < CTK_LEVELS; ++l) held"): "median() ends with one",
    ("standardize", "barrier removed", "result[4] = fourth"): "the next image's reduction begins with one",
    ("summary", "barrier removed", "result[4] = fourth"): "the next image's reduction begins with one",
    (
        "clahe",
        "barrier removed",
        "template <typename T, typename F> __device__ __forceinline__ T ctk_over",
    ): "not called: CLAHE sums itself",
    (
        "clahe",
        "barrier for one warp alone",
        "template <typename T, typename F> __device__ __forceinline__ T ctk_over",
    ): "not called",
    (
        "clahe",
        "warp barrier removed",
        "if (any) for (int k = warp * share",
    ): "brings the warp together; a shuffle follows anyway",
    ("clahe", "warp barrier removed", "last = max(last, b);"): "brings the warp together; a shuffle follows anyway",
    ("clahe", "barrier removed", "if ((threadIdx.x & 31) == 0) room["): "not called: CLAHE sums itself",
    (
        "clahe",
        "barrier removed",
        "const int banks = r.nbins",
    ): "the one at the end of ctk_make_table's loop stands for it",
    ("clahe", "barrier removed", "before = ctk_levels("): "the one at the start of ctk_counted_window stands for it",
}


class Mutant(NamedTuple):
    """One planted bug."""

    unit: str
    number: int
    """Of the unit's bugs, from 1 on."""
    what: str
    line: int

    def __str__(self) -> str:
        return f"{self.unit}:{self.line}: {self.what}"


@cache
def bugs(unit: str) -> tuple[planting.Bug, ...]:
    """All of one unit, that are not excused."""
    text = source.inlined(unit)
    general = (bug for bug in planting.everywhere(text) if not _excused(unit, bug, text.splitlines()))
    return (*general, *(planting.by_hand(text, *entry) for entry in BY_HAND.get(unit, ())))


def _excused(unit: str, bug: planting.Bug, lines: list[str]) -> bool:
    above = (line.strip() for line in reversed(lines[: bug.line(source.inlined(unit)) - 1]))
    before = next(line for line in above if re.search(r"\w", line) and not line.startswith("//"))
    images = unit.replace("_volume", "")  # the same headers
    return any(u in (unit, images) and w == bug.what and before.startswith(b) for u, w, b in NO_DIFFERENCE)


def edited(unit: str, text: str) -> str:
    """``text``, a specialisation of the unit, with its bugs in it; the source of another unit as it is."""
    right = source.inlined(unit)
    wrong = planting.planted(right, bugs(unit))
    # A median's network is filled in between the two parts of its unit.
    for old, new in zip(right.split(source.NETWORK_LINE), wrong.split(source.NETWORK_LINE), strict=True):
        text = text.replace(old, new)
    return text


def everything() -> list[Mutant]:
    """All planted bugs of all units; those in a header once, in the shortest unit that has it."""
    mutants: dict[tuple[str, str], Mutant] = {}
    for unit in sorted(set(SOURCES) - set(FUSED), key=lambda unit: len(source.inlined(unit))):
        lines = source.inlined(unit).splitlines()
        for number, bug in enumerate(bugs(unit), 1):
            line = bug.line(source.inlined(unit))
            around = "\n".join(lines[max(line - 6, 0) : line + 5])
            mutants.setdefault((bug.what, around), Mutant(unit, number, bug.what, line))
    return list(mutants.values())
