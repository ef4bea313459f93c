"""Ranks over windows of any shape as lists of minima and maxima, which one compiled function carries out.

A program gives one rank of the pixels in a footprint, for one row of results or for several rows at once: what their
windows share is sorted once, what only some share is merged into that, and each row merges the rest. How many rows are
fewest operations a row is tried. Ranks that can no longer be the wanted one are dropped on the way, as in ``plan``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.shared.networks import HIGH, LOW, Graph, Node

Pixel = tuple[int, int, int]
"""Plane, row and column of a footprint's pixel, from its first plane, row and column on."""

EXCHANGE, LOWER, HIGHER = 0, 1, 2
"""What an instruction keeps of two: both, the smaller, the larger."""

_SORTED = 6
"""So many pixels are sorted at once; more in halves that are merged."""

_MOST_FOR_FOUR = 1024
"""Pixels; programs of larger footprints are made for one and two rows only, as making them takes long."""


class Program(NamedTuple):
    """Instructions, one a row: kind, two operands, place of the smaller and of the larger.

    Operand ``2 * k`` is temporary ``k``, operand ``2 * k + 1`` pixel ``k`` of ``pixels``.
    """

    code: NDArray[np.int64]
    pixels: tuple[Pixel, ...]
    """Those of all rows, a row further on for each."""
    outputs: tuple[int, ...]
    """Operand that holds the result of each row."""
    temporaries: int


def _live(count: int, total: int, rank: int) -> tuple[int, int]:
    """First and last rank among ``count`` of ``total`` items that can be number ``rank`` of all."""
    return max(0, rank - (total - count)), min(count - 1, rank)


class _Maker:
    def __init__(self, pixels: Sequence[Pixel], rank: int, rows: int) -> None:
        self.graph = Graph()
        self.total, self.rank = len(pixels), rank
        self.windows = [frozenset((z, y + g, x) for z, y, x in pixels) for g in range(rows)]
        self.results: list[Node] = [0] * rows
        self._divide(range(rows), [], frozenset())

    def _sorted(self, items: Sequence[Node]) -> list[Node]:
        """In order; ranks that are out of the race as ``LOW`` and ``HIGH``."""
        if not items:
            return []
        if len(items) <= _SORTED:
            ordered = self.graph.sort(items)
            first, last = _live(len(items), self.total, self.rank)
            return [LOW] * first + ordered[first : last + 1] + [HIGH] * (len(items) - 1 - last)
        half = len(items) // 2
        return self._merged(self._sorted(items[:half]), self._sorted(items[half:]))

    def _merged(self, a: Sequence[Node], b: Sequence[Node]) -> list[Node]:
        if not a or not b:
            return [*a, *b]
        count = len(a) + len(b)
        first, last = _live(count, self.total, self.rank)
        return [LOW] * first + self.graph.merge_ranks(a, b, first, last) + [HIGH] * (count - 1 - last)

    def _divide(self, rows: range, known: Sequence[Node], held: frozenset[Pixel]) -> None:
        """Results of neighbouring rows; ``known`` are the pixels ``held`` in order, which all of them share."""
        common = frozenset.intersection(*(self.windows[g] for g in rows))
        fresh = self._sorted([self._load(pixel) for pixel in sorted(common - held)])
        if len(rows) == 1:
            every = self._merged(known, fresh) if not known or not fresh else []
            self.results[rows[0]] = every[self.rank] if every else self.graph.select(known, fresh, self.rank)
            return
        shared = self._merged(known, fresh)
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            self._divide(part, shared, common)

    def _load(self, pixel: Pixel) -> Node:
        z, y, x = pixel
        return self.graph.load((str(z), x), y)

    def operations(self) -> list[Node]:
        """Nodes of minima and maxima that the results need, in order."""
        return [n for n in self.graph.needed(self.results) if self.graph.nodes[n].kind != "load"]


@lru_cache(maxsize=64)
def program(pixels: tuple[Pixel, ...], rank: int) -> Program:
    """The program for rank ``rank`` (0 is the smallest) of the values at ``pixels``."""
    choices = (1, 2, 4) if len(pixels) <= _MOST_FOR_FOUR else (1, 2)
    makers = [_Maker(pixels, rank, rows) for rows in choices]
    return _assembled(min(makers, key=lambda made: len(made.operations()) / len(made.results)))


def selected(count: int, rank: int) -> tuple[Graph, Node]:
    """The node of one rank of ``count`` pixels, which are rows 0 to ``count - 1`` to the graph."""
    made = _Maker([(0, k, 0) for k in range(count)], rank, 1)
    return made.graph, made.results[0]


def _assembled(made: _Maker) -> Program:
    graph, order = made.graph, made.operations()
    pixels: dict[Pixel, int] = {}
    last_use: dict[Node, int] = {}
    pairs: dict[tuple[Node, Node], list[Node]] = {}
    for node in order:
        operation = graph.nodes[node]
        pairs.setdefault((operation.a, operation.b), []).append(node)
    for step, (pair, _) in enumerate(pairs.items()):
        last_use.update(dict.fromkeys(pair, step))
    last_use.update(dict.fromkeys(made.results, len(pairs)))
    place: dict[Node, int] = {}
    free: list[int] = []
    used = 0

    def operand(node: Node) -> int:
        if node in place:
            return 2 * place[node]
        load = graph.nodes[node]
        pixel = (int(load.source[0]), load.a, load.source[1])
        return 2 * pixels.setdefault(pixel, len(pixels)) + 1

    code = []
    for step, (pair, nodes) in enumerate(pairs.items()):
        row = [EXCHANGE, operand(pair[0]), operand(pair[1]), 0, 0]
        # Both operands are read before anything is written, so a place that is free after this may be taken by it.
        free += _freed(pair, step, last_use, place)
        for node in nodes:
            if not free:
                free.append(used)
                used += 1
            place[node] = free.pop()
            row[3 if graph.nodes[node].kind == "min" else 4] = place[node]
        if len(nodes) == 1:
            row[0] = LOWER if graph.nodes[nodes[0]].kind == "min" else HIGHER
        code.append(row)
    outputs = tuple(operand(node) for node in made.results)
    return Program(np.array(code, np.int64).reshape(-1, 5), tuple(pixels), outputs, used)


def _freed(pair: Iterable[Node], step: int, last_use: dict[Node, int], place: dict[Node, int]) -> list[int]:
    return [place[node] for node in pair if node in place and last_use[node] == step]
