"""Sorting and merging networks as graphs of minima and maxima, with everything that no output needs left out.

A node is an input, a minimum or a maximum of two nodes; equal nodes are one node. ``LOW`` and ``HIGH`` stand for values
below and above all others, and fold away: that is how ranks that cannot hold the median any more drop out of a merge.
Merges are Batcher's odd-even merges ("Sorting networks and their applications", AFIPS 1968), for lists of any length.
The median filters of both backends are made of these graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Node = int
Source = tuple[str, int]
"""Where inputs come from: a name, and a shift in columns."""

LOW: Node = -1
HIGH: Node = -2


class Operation(NamedTuple):
    """A node: ``min`` or ``max`` of nodes ``a`` and ``b``, or the ``load`` of row ``a`` of ``source``."""

    kind: str
    a: int
    b: int
    source: Source


class Graph:
    """Nodes in an order in which each comes after those that it is computed from."""

    def __init__(self) -> None:
        self.nodes: list[Operation] = []
        self._known: dict[Operation, Node] = {}

    def _node(self, kind: str, a: int, b: int, source: Source = ("", 0)) -> Node:
        key = Operation(kind, a, b, source)
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(key)
        return self._known[key]

    def load(self, source: Source, row: int) -> Node:
        """An input: ``row`` of ``source``."""
        return self._node("load", row, 0, source)

    def low(self, a: Node, b: Node) -> Node:
        """The smaller of two."""
        if a == b or LOW in (a, b):
            return min(a, b) if a == b else LOW
        if HIGH in (a, b):
            return b if a == HIGH else a
        return self._node("min", min(a, b), max(a, b))

    def high(self, a: Node, b: Node) -> Node:
        """The larger of two."""
        if a == b or HIGH in (a, b):
            return a if a == b else HIGH
        if LOW in (a, b):
            return b if a == LOW else a
        return self._node("max", min(a, b), max(a, b))

    def sort(self, items: Sequence[Node]) -> list[Node]:
        """All items in order."""
        ordered = list(items)
        if len(ordered) in _SORTERS:
            for a, b in _SORTERS[len(ordered)]:
                ordered[a], ordered[b] = self.low(ordered[a], ordered[b]), self.high(ordered[a], ordered[b])
            return ordered
        half = (len(ordered) + 1) // 2
        return self.merge(self.sort(ordered[:half]), self.sort(ordered[half:]))

    def merge(self, a: Sequence[Node], b: Sequence[Node]) -> list[Node]:
        """Two sorted lists as one."""
        if not a or not b:
            return [*a, *b]
        if len(a) == len(b) == 1:
            return [self.low(a[0], b[0]), self.high(a[0], b[0])]
        even = self.merge(a[0::2], b[0::2])
        odd = self.merge(a[1::2], b[1::2])
        result = even[:1]
        for i in range(max(len(odd), len(even) - 1)):
            if i >= len(odd):
                result.append(even[i + 1])
            elif i + 1 >= len(even):
                result.append(odd[i])
            else:
                result += [self.low(odd[i], even[i + 1]), self.high(odd[i], even[i + 1])]
        return result

    def merge_ranks(self, a: Sequence[Node], b: Sequence[Node], first: int, last: int) -> list[Node]:
        """Ranks ``first .. last`` of two sorted lists as one; others must not be used and cost nothing."""
        if first == last:
            return [self.select(a, b, first)]
        a = [LOW if i + len(b) < first else HIGH if i > last else item for i, item in enumerate(a)]
        b = [LOW if i + len(a) < first else HIGH if i > last else item for i, item in enumerate(b)]
        return self.merge(a, b)[first : last + 1]

    def select(self, a: Sequence[Node], b: Sequence[Node], rank: int) -> Node:
        """One rank of two sorted lists as one: over all ways to take rank + 1 items, the least of the largest taken."""
        best = HIGH
        for from_a in range(rank + 2):
            from_b = rank + 1 - from_a
            top_a = LOW if from_a == 0 else a[from_a - 1] if from_a <= len(a) else HIGH
            top_b = LOW if from_b == 0 else b[from_b - 1] if from_b <= len(b) else HIGH
            best = self.low(best, self.high(top_a, top_b))
        return best

    def middle_of_three(self, a: Node, b: Node, c: Node) -> Node:
        """The median of three; what it needs of ``a`` and ``b`` alone is one node for all ``c``."""
        return self.high(self.low(a, b), self.low(self.high(a, b), c))

    def middle_of_triples(self, a: Sequence[Node], b: Sequence[Node], c: Sequence[Node]) -> Node:
        """The median of three sorted triples; what it needs of ``a`` and ``b`` alone is one node for all ``c``."""
        least = self.high(self.high(a[0], b[0]), c[0])
        middle = self.middle_of_three(a[1], b[1], c[1])
        most = self.low(self.low(a[2], b[2]), c[2])
        return self.middle_of_three(least, most, middle)

    def needed(self, outputs: Sequence[Node]) -> list[Node]:
        """The nodes that the outputs are computed from, in order."""
        seen: set[Node] = set()
        todo = list(outputs)
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            operation = self.nodes[node]
            if operation.kind != "load":
                todo += [operation.a, operation.b]
        return sorted(seen)


# Smallest known sorting networks, as listed by Bert Dobbelaere and in Knuth, TAOCP 3, section 5.3.4.
_SORTERS: dict[int, Sequence[tuple[int, int]]] = {
    1: (),
    2: ((0, 1),),
    3: ((1, 2), (0, 2), (0, 1)),
    4: ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2)),
    5: ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)),
    6: ((0, 5), (1, 3), (2, 4), (1, 2), (3, 4), (0, 3), (2, 5), (0, 1), (2, 3), (4, 5), (1, 2), (3, 4)),
}


def live_ranks(count: int, total: int) -> tuple[int, int]:
    """First and last rank among ``count`` of ``total`` items that can be the middle of all of them."""
    middle = total // 2
    return max(0, middle - (total - count)), min(count - 1, middle)
