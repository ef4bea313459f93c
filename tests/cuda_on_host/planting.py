"""Bugs planted in kernel sources: a checker that finds nothing is worth what it finds where something is wrong.

One compilation holds all bugs of a source, each as ``(ctkh_planted() == n ? wrong : right)``; ``Simulation.planted``
says which is live. The same few are planted wherever they are possible, more by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple


class Bug(NamedTuple):
    """One change of an expression."""

    what: str
    start: int
    end: int
    wrong: str
    """What stands in place of the text from ``start`` to ``end``."""

    def line(self, text: str) -> int:
        """Where it is, counted from 1."""
        return text.count("\n", 0, self.start) + 1


# what -> (pattern, replacement)
EVERYWHERE: Final = {
    "barrier removed": (r"__syncthreads\(\)", "(void)0"),
    "barrier for one warp alone": (
        r"__syncthreads\(\)",
        "threadIdx.x + threadIdx.y * blockDim.x < 32 ? __syncthreads() : (void)0",
    ),
    "warp barrier removed": (r"__syncwarp\(\)", "(void)0"),
    "plain add for atomic": (r"atomicAdd\(&([^;]+?), ([^;,]+)\)(?=;)", r"\1 += \2"),
    "plain maximum for atomic": (r"atomicMax\(&([^;]+?), ([^;,]+)\)(?=;)", r"\1 = max(\1, \2)"),
    "plain minimum for atomic": (r"atomicMin\(&([^;]+?), ([^;,]+)\)(?=;)", r"\1 = min(\1, \2)"),
    "half a mask": (r"(?<=_sync\()(?:[A-Z]\w*|0xffffffffu?)(?=,)", "0x0000ffffu"),
}
ONCE: Final = ("barrier for one warp alone",)
"""At the first place only: every barrier there is gets removed, too, and the host finds both the same way."""


def everywhere(text: str) -> Iterator[Bug]:
    """Wherever a kernel of the source can come by: headers hold more than each of them runs."""
    reached = _reached(text)

    def runs(at: int) -> bool:
        comment = text[text.rfind("\n", 0, at) + 1 : at].lstrip().startswith("//")
        return not comment and any(a <= at < b for a, b in reached)

    for what, (pattern, replacement) in EVERYWHERE.items():
        places = [match for match in re.finditer(pattern, text) if runs(match.start())]
        for match in places[:1] if what in ONCE else places:
            yield Bug(what, match.start(), match.end(), match.expand(replacement))


def by_hand(text: str, what: str, where: str, wrong: str) -> Bug:
    """``where``: the first place that reads so, with the right expression between ``«`` and ``»``."""
    before, right, after = re.split("[«»]", where)
    start = text.find(before + right + after)
    if start < 0:
        raise ValueError(f"there is no {before + right + after!r} any more, where '{what}' was planted")
    start += len(before)
    return Bug(what, start, start + len(right), wrong)


def planted(text: str, bugs: Sequence[Bug]) -> str:
    """The source with all bugs, live by their number in the list from 1 on."""
    spans: dict[tuple[int, int], str] = {}
    for number, bug in enumerate(bugs, 1):
        right = spans.get((bug.start, bug.end), text[bug.start : bug.end])
        spans[bug.start, bug.end] = f"(ctkh_planted() == {number} ? ({bug.wrong}) : ({right}))"
    for (start, end), switch in sorted(spans.items(), reverse=True):
        text = text[:start] + switch + text[end:]
    return text


def _functions(text: str) -> dict[str, list[tuple[int, int]]]:
    """Where the functions and structs of each name begin and end."""
    functions: dict[str, list[tuple[int, int]]] = {}
    for head in re.finditer(
        r"^(?![ \t#/}]).*?(?:(?:__device__|__global__)[^;{]*?\b(\w+)\s*\([^;{]*?|struct (\w+)[^;{(]*?)\{", text, re.M
    ):
        depth, at = 1, head.end()
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        functions.setdefault(head[1] or head[2], []).append((head.start(), at))
    return functions


def _reached(text: str) -> list[tuple[int, int]]:
    """The parts of the text that a kernel runs, by the names that stand in them."""
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
