"""The steps of a small-window median: which networks run in which loop, and what is kept between loops.

Two output rows share all rows of their windows but one. Of the shared rows each column is sorted; neighbouring sorted
columns are merged to pairs, pairs to wider lists and so on until one list spans the window. Ranks that cannot hold the
median any more are dropped on the way. The row that an output does not share is sorted too, and picks the median.

A list that is *kept* is computed once per pixel in a loop of its own and read back at several shifts; another is
computed again wherever it is needed, which costs operations but saves loads and stores (an unaligned load of a full
vector touches two cache lines). Which are kept was found by trial, size by size: keeping few won everywhere, 5 x 5 of
int16 .49 ns a pixel with one list, .60 with three, .62 with all four, .66 with only the widest.

Windows of 3 x 3 and 5 x 5 sort rows instead, each row once for all results of a group, and of 5 x 5 merge neighbouring
rows in twos: 19 operations a result instead of 21 and, in groups of eight, 71 instead of 84. Groups of twelve take 67,
and no less time; at 7 x 7 rows take as many operations as columns.

Windows of volumes are windows of rows too: where the rows of ``by`` planes take turns, a window of (planes, rows,
columns) is one of ``planes * rows`` neighbouring rows, and the next output's begins ``by`` rows further on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ctkernels.shared.networks import HIGH, LOW, Graph, Node, live_ranks

IMAGE, OUT = "image", "out"
SHARED, OWN = "shared", "own"

_PARTS = {3: 2, 5: 4, 7: 6, 9: 8, 10: 5, 11: 10, 13: 12, 15: 12}
"""Width of the left of the two lists that a list is merged from, where that is not half (rounded up)."""

KEEP: dict[tuple[int, ...], tuple[Sequence[int], Sequence[int]]] = {
    (3, 3): ((), ()),
    (5, 5): ((), ()),
    (7, 7): ((1, 3), ()),
    (9, 9): ((1, 2, 4), ()),
    (11, 11): ((1, 5), ()),
    (13, 13): ((1, 3, 6), (3, 6)),
    (15, 15): ((1, 3, 6), (3, 6)),
    (25, 5, 5): ((1, 2), (1, 2)),
}
"""Widths of the lists of shared and of own rows that are kept, by rows and columns, and ``by`` for volumes."""


@dataclass
class Step:
    """One loop over the columns of a strip: loads, network, stores; ``extra`` positions beyond the strip's width."""

    extra: int
    graph: Graph = field(default_factory=Graph)
    stores: list[tuple[str, int, Node]] = field(default_factory=list)
    """Buffer (or ``OUT``), its row, the node."""


class Plan:
    """The loops for ``outputs`` neighbouring rows of medians of ``rows`` by ``columns`` windows, ``by`` rows apart."""

    strip_bytes = 512
    """Width of a strip of columns, so that the lists of all its positions stay in the L1 and L2 caches."""

    def __init__(self, rows: int, columns: int, by: int = 1) -> None:
        self.rows, self.columns, self.by = rows, columns, by
        self.total = rows * columns
        self.steps: list[Step] = []
        self.buffers: dict[tuple[str, int], int] = {}
        """Kept list (name, width): row of the scratch memory in which its rank 0 stands or would stand."""
        self.height = 0
        """Rows of scratch memory."""
        kept = KEEP.get((rows, columns) if by == 1 else (rows, columns, by)) or self._usual()
        self.by_rows = (rows, columns, by) in ((3, 3, 1), (5, 5, 1))
        """Whether rows are sorted, not columns."""
        # Two pairs at once read six rows for four results instead of eight: 5 to 10 % where nothing is kept.
        self.outputs = 1 if rows == by else 2 if any(kept) else 8 if self.by_rows and rows == 5 else 4
        self.sources_read = rows + (self.outputs - 1) * by
        self.sources: dict[str, range] = {}
        for pair in range(0, self.outputs, 2):
            first = pair * by
            self.sources[f"{SHARED}{pair}"] = range(first + by, first + rows)
            self.sources[f"{OWN}{pair}"] = range(first, first + by)
            self.sources[f"{OWN}{pair + 1}"] = range(first + rows, first + rows + by)
        if rows > by:
            for width in sorted(kept[0]):
                self._keep(f"{SHARED}0", width)
        for output in range(self.outputs):
            for width in sorted(kept[1]):
                self._keep(f"{OWN}{output}", width)
        self._finish()

    @property
    def keeps(self) -> bool:
        """Whether lists stand in memory between loops."""
        return bool(self.buffers)

    def _usual(self) -> tuple[Sequence[int], Sequence[int]]:
        parts = [w for w in _chain(self.columns) if w < self.columns]
        return parts if self.total > 15 else [], [w for w in parts if w >= 3] if self.columns > 7 else []

    def _keep(self, name: str, width: int) -> None:
        step = Step(self.columns - width)
        count = width * len(self.sources[name])
        first, last = live_ranks(count, self.total)
        items = self._compute(step.graph, name, width, 0)
        step.stores = [(f"{name}:{width}", rank, items[rank]) for rank in range(first, last + 1)]
        self.steps.append(step)
        self.buffers[name, width] = self.height - first
        self.height += last + 1 - first

    def _list(self, graph: Graph, name: str, width: int, shift: int) -> list[Node]:
        """The sorted list of ``width`` columns at ``shift``, ranks that are out of the race as ``LOW`` and ``HIGH``."""
        if (name, width) not in self.buffers:
            return self._compute(graph, name, width, shift)
        count = width * len(self.sources[name])
        first, last = live_ranks(count, self.total)
        live = [graph.load((f"{name}:{width}", shift), rank) for rank in range(first, last + 1)]
        return [LOW] * first + live + [HIGH] * (count - 1 - last)

    def _compute(self, graph: Graph, name: str, width: int, shift: int) -> list[Node]:
        rows = self.sources[name]
        count = width * len(rows)
        first, last = live_ranks(count, self.total)
        if width == 1:
            ordered = graph.sort([graph.load((IMAGE, shift), row) for row in rows])[first : last + 1]
        elif len(rows) == 1 and width <= 6 and not self.buffers.get((name, 1)):
            ordered = graph.sort([graph.load((IMAGE, shift + x), rows[0]) for x in range(width)])[first : last + 1]
        else:
            a = _left(width)
            left = self._list(graph, name, a, shift)
            right = self._list(graph, name, width - a, shift + a)
            ordered = graph.merge_ranks(left, right, first, last)
        return [LOW] * first + ordered + [HIGH] * (count - 1 - last)

    def _finish(self) -> None:
        step = Step(0)
        middle = self.total // 2
        if self.rows == self.by:
            step.stores = [(OUT, 0, self._list(step.graph, f"{OWN}0", self.columns, 0)[middle])]
        elif self.by_rows:
            step.stores = [(OUT, output, self._of_sorted_rows(step.graph, output)) for output in range(self.outputs)]
        else:
            for output in range(self.outputs):
                shared = self._list(step.graph, f"{SHARED}{output // 2 * 2}", self.columns, 0)
                own = self._list(step.graph, f"{OWN}{output}", self.columns, 0)
                step.stores.append((OUT, output, step.graph.select(shared, own, middle)))
        self.steps.append(step)

    def _of_sorted_rows(self, graph: Graph, output: int) -> Node:
        """A result of 3 x 3 or 5 x 5. What it shares with others are the same nodes."""

        def row(number: int) -> list[Node]:
            return graph.sort([graph.load((IMAGE, shift), number) for shift in range(self.columns)])

        def two(number: int) -> list[Node]:
            return graph.merge(row(number), row(number + 1))

        shared, (own,) = self.sources[f"{SHARED}{output // 2 * 2}"], self.sources[f"{OWN}{output}"]
        if self.rows == 3:
            return graph.middle_of_triples(row(shared[0]), row(shared[1]), row(own))
        count = len(shared) * self.columns
        first, last = live_ranks(count, self.total)
        live = graph.merge_ranks(two(shared[0]), two(shared[2]), first, last)
        return graph.select([LOW] * first + live + [HIGH] * (count - 1 - last), row(own), self.total // 2)


def _left(width: int) -> int:
    return _PARTS.get(width, width - width // 2)


def _chain(width: int) -> list[int]:
    """All widths that a list of ``width`` columns is merged from, and itself."""
    if width == 1:
        return [1]
    left = _left(width)
    return sorted({*_chain(left), *_chain(width - left), width})


@lru_cache(maxsize=32)
def plan(rows: int, columns: int, by: int = 1) -> Plan:
    """The loops for one window size, both sides odd."""
    return Plan(rows, columns, by)
