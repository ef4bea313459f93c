"""Bugs to plant in copies of the real kernel sources: the same few changes at every place where they are possible, and
some by hand. A place where a change makes no difference is named with the reason why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ctkernels.gpu._core import source as source_module

UNITS: dict[str, tuple[str, ...]] = {
    "label_tissue": ("label_tissue",),
    "rescale": ("rescale",),
    "window": ("window",),
    "median_filter": ("median_filter",),
    "median_large": ("median_filter",),
    "gaussian_filter": ("gaussian_filter",),
    "normalize": ("normalize",),
    "standardize": ("standardize",),
    "summary": ("summary",),
    "histogram": ("histogram",),
    "clahe": ("clahe",),
}
"""Unit -> operations whose calls run it."""


class Mutant(NamedTuple):
    """One planted bug."""

    unit: str
    what: str
    line: int
    source: str
    """The unit's whole source with the bug."""

    def __str__(self) -> str:
        return f"{self.unit}:{self.line}: {self.what}"


# what -> (pattern, replacement): planted at every place
EVERYWHERE: dict[str, tuple[str, str]] = {
    "barrier removed": (r"__syncthreads\(\);", ";"),
    "barrier for one warp alone": (
        r"__syncthreads\(\);",
        "if (threadIdx.x + threadIdx.y * blockDim.x < 32) __syncthreads();",
    ),
    "warp barrier removed": (r"__syncwarp\(\);", ";"),
    "plain add for atomic": (r"atomicAdd\(&([^;]+?), ([^;,]+)\);", r"\1 += \2;"),
    "plain maximum for atomic": (r"atomicMax\(&([^;]+?), ([^;,]+)\);", r"\1 = max(\1, \2);"),
    "plain minimum for atomic": (r"atomicMin\(&([^;]+?), ([^;,]+)\);", r"\1 = min(\1, \2);"),
    "half a mask": (r"_sync\(CTK_FULL", "_sync(0x0000ffffu"),
}

ONCE = ("barrier for one warp alone",)
"""At the first place only: every barrier there is gets removed, too, and the host finds both the same way."""

# unit -> (what, old, new): once each
BY_HAND: dict[str, list[tuple[str, str, str]]] = {
    "label_tissue": [
        ("edge reached one too late", "key[i] >= edge", "key[i] > edge"),
        ("NaN labelled as a number", "ctk_is_nan(in[i]) ? CTK_NO_LABEL", "false ? CTK_NO_LABEL"),
        ("one edge not loaded", "k < number; k += int(blockDim.x)", "k < number - 1; k += int(blockDim.x)"),
        ("the rest of a row forgotten", "i < (head - start) + (end - tail)", "i < (head - start)"),
        (
            "last vector beyond the end",
            "const long long groups = (end - head) / V;",
            "const long long groups = (end - head + V - 1) / V;",
        ),
        (
            "vectors without alignment",
            "const bool vectors = ctk_aligned(x,",
            "const bool vectors = true || ctk_aligned(x,",
        ),
    ],
    "rescale": [("the rest of a row forgotten", "i < (head - start) + (end - tail)", "i < (head - start)")],
    "window": [
        ("the first pixels forgotten", "start + i : tail + (i - (head - start))", "tail : tail + (i - (head - start))")
    ],
    "median_filter": [
        ("halo one row short", "CTK_ROWS - 1; r += CTK_WARPS", "CTK_ROWS - 2; r += CTK_WARPS"),
        ("mirror taken for reflect", "period - 1 - j : period - j", "period - j : period - j"),
        ("store beyond the row", "column + k < width", "column + k <= width"),
    ],
    "gaussian_filter": [
        (
            "halo one row short",
            "r < t.height + 2 * t.ry; r += CTK_WARPS",
            "r < t.height + 2 * t.ry - 1; r += CTK_WARPS",
        ),
        (
            "border one row off",
            "ctk_border(y0 - t.ry + r, height, mode)",
            "ctk_border(y0 - t.ry + r + 1, height, mode)",
        ),
        ("one weight not loaded", "i < t.ry + t.rx + 2; i +=", "i < t.ry + t.rx + 1; i +="),
    ],
    "clahe": [
        ("clipped one too late", "cut += max(n - r.limit, 0)", "cut += max(n - r.limit - 1, 0)"),
        (
            "upper and lower tables swapped",
            "__fmul_rn(above, up), __fmul_rn(below, down)",
            "__fmul_rn(above, down), __fmul_rn(below, up)",
        ),
    ],
    "histogram": [
        ("a copy of the counters forgotten", "c < copies; c++", "c < copies - 1; c++"),
        ("counters not cleared", "ctk_tally[i] = 0;", ";"),
        (
            "last edge not included",
            "if (key < begin || key > end) return -1;",
            "if (key < begin || key >= end) return -1;",
        ),
    ],
    "summary": [("upper neighbour of a percentile lost", "(s & 1) && lower + 1 < count ? lower + 1 : lower", "lower")],
}

# (unit, what, beginning of the nearest line of code before) -> why nothing changes there
NO_DIFFERENCE: dict[tuple[str, str, str], str] = {
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

FUSED = {
    "window_median": "median_filter",
    "window_gaussian": "gaussian_filter",
    "clahe_histogram": "clahe",
}
"""Units made of the headers of another, whose planted bugs stand for theirs."""


def original(unit: str) -> str:
    """The unit's source without specialisation."""
    return source_module._inlined(unit)


def mutants(unit: str) -> Iterator[Mutant]:
    """All of one unit."""
    text = original(unit)
    reached = _reached(text)
    for what, (pattern, replacement) in EVERYWHERE.items():
        places = [m for m in re.finditer(pattern, text) if any(a <= m.start() < b for a, b in reached)]
        for match in places[:1] if what in ONCE else places:
            line = text[: match.start()].count("\n") + 1
            if not _excused(unit, what, text.splitlines(), line):
                yield Mutant(unit, what, line, text[: match.start()] + match.expand(replacement) + text[match.end() :])
    for what, old, new in BY_HAND.get(unit, []):
        if text.count(old) < 1:
            raise ValueError(f"{unit}: there is no {old!r} any more, where '{what}' was planted")
        yield Mutant(unit, what, text[: text.index(old)].count("\n") + 1, text.replace(old, new, 1))


def _excused(unit: str, what: str, lines: list[str], line: int) -> bool:
    if lines[line - 1].strip().startswith("//"):
        return True
    before = next(
        t.strip() for t in reversed(lines[: line - 1]) if re.search(r"\w", t) and not t.strip().startswith("//")
    )
    return any((u, w) == (unit, what) and before.startswith(b) for u, w, b in NO_DIFFERENCE)


def _functions(text: str) -> dict[str, list[tuple[int, int]]]:
    """Where the functions and structs of each name begin and end."""
    found: dict[str, list[tuple[int, int]]] = {}
    for head in re.finditer(
        r"^(?![ \t#/}]).*?(?:(?:__device__|__global__)[^;{]*?\b(\w+)\s*\([^;{]*?|struct (\w+)[^;{(]*?)\{", text, re.M
    ):
        depth, at = 1, head.end()
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        found.setdefault(head[1] or head[2], []).append((head.start(), at))
    return found


def _reached(text: str) -> list[tuple[int, int]]:
    """The parts of the text that a kernel runs: headers have more."""
    functions = _functions(text)
    waiting = [name for name, parts in functions.items() if any("__global__" in text[a:b] for a, b in parts)]
    for macro in re.findall(r"^#define(?:.*\\\n)*.*\n", text, re.M):
        if "__global__" in macro:
            waiting += [word for word in set(re.findall(r"\w+", macro)) if word in functions]
    reached = set()
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for a, b in functions[name]:
            waiting += [word for word in set(re.findall(r"\w+", text[a:b])) if word in functions]
    return [part for name in reached for part in functions[name]]


def check_table(units: set[str]) -> None:
    """Every unit of the manifest is in the table."""
    missing = units - set(UNITS) - set(FUSED)
    if missing:
        raise ValueError(f"units without planted bugs: {sorted(missing)}")


def everything() -> list[Mutant]:
    """All planted bugs of all units; those in a header once, in the first unit that has it."""
    found: dict[tuple[str, str], Mutant] = {}
    for mutant in (m for unit in UNITS for m in mutants(unit)):
        lines = original(mutant.unit).splitlines()
        found.setdefault((mutant.what, "\n".join(lines[max(mutant.line - 6, 0) : mutant.line + 5])), mutant)
    return list(found.values())
