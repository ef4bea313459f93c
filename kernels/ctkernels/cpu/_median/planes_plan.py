"""The steps of a small-window median of volumes that shares along all three axes.

A group of results is two planes of two rows. Their windows have all planes and rows but the first and the last of each
in common: the *core*. Per plane, core rows of all columns of the window are sorted to one list; lists of neighbouring
planes are merged to those of pairs, of pairs to quads, each made once and kept while the windows move on through the
planes. The two rows that are no core's (*own*) go the same way. A result's window is the core, its own row in the
core's planes, and its own plane. A 7 x 7 x 7 median takes 1,266 minima and maxima a result, with sharing along rows
and columns alone (``plan``) 2,575; 5 x 5 x 5 432 and 694, 3 x 3 x 3 90 and 126.

Lists of several planes are *records*: the core's list, then those of both own rows, each one rank after the other.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

from ctkernels.cpu._median.plan import IMAGE, KEEP, OUT, OWN, SHARED, Plan, Step
from ctkernels.shared.networks import HIGH, LOW, Graph, Node, live_ranks

PLANE, PAIR, QUAD, CORE, RESULT = range(5)
"""Stages: a plane's record from its rows, a pair's of two, a quad's of two, the core, results of one row (of windows of
three planes: of both, from planes' records)."""

_ROLES: dict[int, tuple[str, ...]] = {
    PAIR: ("a", "b", "record"),
    QUAD: ("a", "b", "record"),
    CORE: ("a", "b", "core"),
    RESULT: ("core", "a", "b", "low", "low own", "high", "high own", f"{OUT}0", f"{OUT}1"),
}
_RESULTS: tuple[str, ...] = ("a", "b", "low", "high", *(f"{OUT}{number}" for number in range(4)))


class PlanesPlan(Plan):
    """The stages for windows of ``planes`` by ``rows`` by ``columns``, all of them 3 at least; at most 7 planes."""

    def __init__(self, planes: int, rows: int, columns: int) -> None:
        self.planes, self.rows, self.columns, self.by = planes, rows, columns, 1
        self.outputs = 2
        self.total = planes * rows * columns
        self.strip_bytes = 256 if planes == 7 else 512
        self.steps = []
        self.buffers = {}
        self.height = 0
        self.sources = {f"{SHARED}0": range(1, rows), f"{OWN}0": range(1), f"{OWN}1": range(rows, rows + 1)}
        self.core, self.own = (rows - 1) * columns, columns
        """Items of a plane's lists."""
        self.record = self.core + 2 * self.own
        """Items of a plane's record."""
        self.pairs = (planes - 1) // 2
        """Pairs of planes in the core."""
        self.live = live_ranks(self.core * (planes - 1), self.total)
        self.evens, self.odds = (2, 2) if planes == 3 else (self.pairs + 1, 1)
        """Records of planes of even and of odd number that are kept."""
        self.stages: dict[int, list[Step]] = {PLANE: self._plane()}
        if planes == 3:
            self.stages[RESULT] = [self._results()]
            return
        self.stages |= {PAIR: [self._merged(1)], CORE: [self._core()], RESULT: [self._result()]}
        if planes == 7:
            self.stages[QUAD] = [self._merged(2)]

    @property
    def keeps(self) -> bool:
        """Records do."""
        return True

    @property
    def ranks(self) -> int:
        """Of all lists that are kept at once, and four lines of results."""
        records = self.evens + self.odds
        if self.planes > 3:
            records += 2 * self.pairs + (4 if self.planes == 7 else 0)
        return self.height + self.record * records + self.live[1] + 1 - self.live[0] + 4

    def roles(self, stage: int) -> tuple[str, ...]:
        """What the addresses that a stage is given are those of."""
        if stage == PLANE:
            return (*(f"{IMAGE}{row}" for row in range(self.rows + 1)), "record")
        return _RESULTS if stage == RESULT and self.planes == 3 else _ROLES[stage]

    def _plane(self) -> list[Step]:
        for width in KEEP.get((self.rows, self.columns), ((1,), ()))[0]:
            self._keep(f"{SHARED}0", width)
        step = Step(0)
        lists = [self._list(step.graph, name, self.columns, 0) for name in self.sources]
        step.stores = [("record", rank, node) for rank, node in enumerate(chain(*lists))]
        return [*self.steps, step]

    def _part(self, graph: Graph, planes: int, row: int | None) -> list[Node]:
        """A list of records "a" and "b" of so many planes each, merged: of the core's rows, or of an own row."""
        first, count = (0, self.core) if row is None else (self.core + row * self.own, self.own)
        return graph.merge(*(_items(graph, name, count * planes, first * planes) for name in "ab"))

    def _merged(self, planes: int) -> Step:
        step = Step(0)
        lists = [self._part(step.graph, planes, row) for row in (None, 0, 1)]
        step.stores = [("record", rank, node) for rank, node in enumerate(chain(*lists))]
        return step

    def _core(self) -> Step:
        step = Step(0)
        a, b = _items(step.graph, "a", (self.planes - 3) * self.core), _items(step.graph, "b", 2 * self.core)
        step.stores = [("core", rank, node) for rank, node in enumerate(step.graph.merge_ranks(a, b, *self.live))]
        return step

    def _result(self) -> Step:
        step = Step(0)
        graph = step.graph
        first, last = self.live
        live = _items(graph, "core", last + 1 - first)
        core = [LOW] * first + live + [HIGH] * (self.core * (self.planes - 1) - 1 - last)
        own = graph.merge(_items(graph, "a", (self.planes - 3) * self.own), _items(graph, "b", 2 * self.own))
        shared = self._live(graph, core, own)
        for output, plane in enumerate(("low", "high")):
            row = _items(graph, f"{plane} own", self.own)
            step.stores.append((OUT, output, self._median(graph, shared, plane, row)))
        return step

    def _results(self) -> Step:
        step = Step(0)
        graph = step.graph
        core = self._part(graph, 1, None)
        for number in (0, 1):
            shared = self._live(graph, core, self._part(graph, 1, number))
            for output, plane in enumerate(("low", "high")):
                row = _items(graph, plane, self.own, self.core + number * self.own)
                step.stores.append((OUT, 2 * number + output, self._median(graph, shared, plane, row)))
        return step

    def _median(self, graph: Graph, shared: list[Node], plane: str, row: list[Node]) -> Node:
        """Of the window that has ``shared`` and a plane of its own, of which ``row`` is no row of the core."""
        wider = self._live(graph, shared, _items(graph, plane, self.core))
        return graph.select(wider, row, self.total // 2)

    def _live(self, graph: Graph, a: list[Node], b: list[Node]) -> list[Node]:
        count = len(a) + len(b)
        first, last = live_ranks(count, self.total)
        return [LOW] * first + graph.merge_ranks(a, b, first, last) + [HIGH] * (count - 1 - last)


def _items(graph: Graph, name: str, count: int, first: int = 0) -> list[Node]:
    return [graph.load((name, 0), rank) for rank in range(first, first + count)]


@lru_cache(maxsize=32)
def planes_plan(planes: int, rows: int, columns: int) -> PlanesPlan:
    """The stages for one window size."""
    return PlanesPlan(planes, rows, columns)
