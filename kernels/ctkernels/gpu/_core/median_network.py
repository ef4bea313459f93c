"""The network of a small median as CUDA text, one thread's share: ``tile`` neighbouring medians in registers.

Hierarchical tiling, after Sugy, "Median filtering by hierarchical tiling" (arXiv 2507.19926): the pixels that all
windows of a tile share are sorted once; the tile is then halved again and again, and each half merges in only the
columns (or rows) that its windows have more. Ranks that cannot hold a median any more are dropped at every merge, and
steps that two halves have in common are one step.

Operations (minima and maxima) a pixel by size and tile: 3 x 3 17.5, 5 x 5 61, 7 x 7 124, 9 x 9 240, 11 x 11 385; one
window at a time would take 34, 206, 570, 1246, 2276.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from ctkernels.shared.networks import HIGH, LOW, Graph, Node, live_ranks

WIDTH = 4
"""Neighbouring columns of a thread."""

Sorted = list[Node]


@lru_cache(maxsize=64)
def thread_rows(rows: int, columns: int, key_bytes: int) -> int:
    """Neighbouring rows of a thread: as many as its 255 registers hold without spilling."""
    area = rows * columns
    if rows == 1:
        return 1
    if rows >= 4 and 9 < area <= (49 if key_bytes < 8 else 25):
        return 4
    return 2


@lru_cache(maxsize=32)
def network_text(rows: int, columns: int, height: int) -> str:
    """Code for ``height`` rows of medians.

    It reads pixels by ``CTK_AT(row, column)``, or four at once by ``CTK_QUAD(row, column)`` from columns that lie a
    multiple of four after ``-(columns // 2)`` of the middle window, and calls ``CTK_PUT(row, column, value)``.
    """
    graph, outputs = network(rows, columns, height)
    order = _in_order_of_need(graph, list(outputs.values()))
    # One access of 16 bytes costs the shared memory what each single one of the four would: a stride of four words.
    first = -(columns // 2) % WIDTH
    quads: dict[tuple[int, int], list[Node]] = {}
    for node in order:
        kind, row, _, (_, shift) = graph.nodes[node]
        if kind == "load":
            quads.setdefault((row, (shift + first) // WIDTH), []).append(node)
    lines, loaded = [], set()
    for node in order:
        kind, a, b, (_, shift) = graph.nodes[node]
        if kind != "load":
            lines.append(f"const ctk_sort n{node} = ctk_{'low' if kind == 'min' else 'high'}(n{a}, n{b});")
            continue
        quad = (a, (shift + first) // WIDTH)
        if len(quads[quad]) == 1:
            lines.append(f"const ctk_sort n{node} = CTK_AT({a}, {shift});")
            continue
        name = f"q{quad[0]}_{quad[1]}"
        if quad not in loaded:
            loaded.add(quad)
            lines.append(f"const ctk_sort_quad {name} = CTK_QUAD({a}, {quad[1] * WIDTH - first});")
        lines.append(f"const ctk_sort n{node} = {name}.at[{(shift + first) % WIDTH}];")
    lines += [f"CTK_PUT({y}, {x}, n{node});" for (y, x), node in outputs.items()]
    return "\n".join(lines) + "\n"


def network(rows: int, columns: int, height: int) -> tuple[Graph, Mapping[tuple[int, int], Node]]:
    """Graph and output nodes, by row and column, of ``height * WIDTH`` medians of ``rows`` by ``columns`` windows."""
    graph = Graph()
    if (rows, columns) == (3, 3) and height == 2:
        return graph, dict(_three_by_three(graph))
    outputs: dict[tuple[int, int], Node] = {}
    tile_h = _largest_power(min(height, rows))
    tile_w = _largest_power(min(WIDTH, columns))
    for top in range(0, height, tile_h):
        for left in range(0, WIDTH, tile_w):
            outputs |= _Tile(graph, (rows, columns), (top, left), (tile_h, tile_w)).outputs
    return graph, outputs


def _largest_power(limit: int) -> int:
    return 1 << (limit.bit_length() - 1)


def _three_by_three(graph: Graph) -> Iterator[tuple[tuple[int, int], Node]]:
    """Two rows of medians from sorted columns: largest low, middle mid, smallest high, and the middle of these."""

    def pixel(row: int, column: int) -> Node:
        return graph.load(("pixel", column), row)

    def middle(a: Node, b: Node, c: Node) -> Node:
        return graph.high(graph.low(a, b), graph.low(graph.high(a, b), c))

    columns = {}
    for x in range(WIDTH + 2):
        low, high = graph.low(pixel(1, x), pixel(2, x)), graph.high(pixel(1, x), pixel(2, x))
        for y, own in ((0, pixel(0, x)), (1, pixel(3, x))):
            rest = graph.high(low, own)
            columns[y, x] = (graph.low(low, own), graph.low(rest, high), graph.high(rest, high))
    for y in (0, 1):
        for x in range(WIDTH):
            # Neighbours x and x + 1, x even, share columns x + 1 and x + 2.
            shared = x + 1 if x % 2 == 0 else x
            a, b, c = columns[y, shared], columns[y, shared + 1], columns[y, x if x % 2 == 0 else x + 2]
            low = graph.high(graph.high(a[0], b[0]), c[0])
            high = graph.low(graph.low(a[2], b[2]), c[2])
            yield (y, x), middle(low, middle(a[1], b[1], c[1]), high)


class _Tile:
    """The medians of one tile; coordinates are those of the thread's pixels, its first window begins at (0, 0)."""

    def __init__(self, graph: Graph, size: tuple[int, int], at: tuple[int, int], tile: tuple[int, int]) -> None:
        self.graph, self.at = graph, at
        self.rows, self.columns = size
        self.total = self.rows * self.columns
        self.outputs: dict[tuple[int, int], Node] = {}
        height, width = tile
        core_rows, core_columns = range(height - 1, self.rows), range(width - 1, self.columns)
        columns = {x: graph.sort([self._pixel(y, x) for y in core_rows]) for x in range(width + self.columns - 1)}
        rows = {
            y: graph.sort([self._pixel(y, x) for x in core_columns])
            for y in range(height + self.rows - 1)
            if y not in core_rows
        }
        core = self._united([columns.pop(x) for x in core_columns])
        self._halve((0, height), (0, width), self._pruned(core), columns, rows)

    def _pixel(self, row: int, column: int) -> Node:
        return self.graph.load(("pixel", self.at[1] + column), self.at[0] + row)

    def _pruned(self, items: Sorted) -> Sorted:
        first, last = live_ranks(len(items), self.total)
        return [LOW if i < first else HIGH if i > last else item for i, item in enumerate(items)]

    def _merged(self, a: Sorted, b: Sorted) -> Sorted:
        count = len(a) + len(b)
        first, last = live_ranks(count, self.total)
        return [LOW] * first + self.graph.merge_ranks(a, b, first, last) + [HIGH] * (count - 1 - last)

    def _united(self, lists: Sequence[Sorted]) -> Sorted:
        if len(lists) == 1:
            return lists[0]
        half = (len(lists) + 1) // 2
        return self._merged(self._united(lists[:half]), self._united(lists[half:]))

    def _halve(
        self,
        down: tuple[int, int],
        along: tuple[int, int],
        core: Sorted,
        columns: Mapping[int, Sorted],
        rows: Mapping[int, Sorted],
    ) -> None:
        """Medians of windows ``down`` by ``along``, all of which hold ``core``.

        ``columns`` and ``rows`` are the other pixels, as far as they lie beside or above and below the core.
        """
        if down[1] - down[0] == 1 and along[1] - along[0] == 1:
            self.outputs[self.at[0] + down[0], self.at[1] + along[0]] = core[self.total // 2]
        elif along[1] - along[0] >= down[1] - down[0]:
            for part, new in _halves(along, self.columns):
                longer = {y: self._extended(row, [(y, x) for x in new]) for y, row in rows.items()}
                beside = {x: column for x, column in columns.items() if self._reaches(x, part, new, self.columns)}
                grown = self._grown(core, [columns[x] for x in new])
                self._halve(down, part, grown, beside, longer)
        else:
            for part, new in _halves(down, self.rows):
                longer = {x: self._extended(column, [(y, x) for y in new]) for x, column in columns.items()}
                beside = {y: row for y, row in rows.items() if self._reaches(y, part, new, self.rows)}
                grown = self._grown(core, [rows[y] for y in new])
                self._halve(part, along, grown, longer, beside)

    def _extended(self, items: Sorted, pixels: Sequence[tuple[int, int]]) -> Sorted:
        return self.graph.merge(items, self.graph.sort([self._pixel(y, x) for y, x in pixels]))

    def _grown(self, core: Sorted, lists: Sequence[Sorted]) -> Sorted:
        return self._merged(core, self._united(lists))

    @staticmethod
    def _reaches(index: int, part: tuple[int, int], new: range, size: int) -> bool:
        return part[0] <= index < part[1] + size - 1 and index not in new


def _halves(span: tuple[int, int], size: int) -> Iterator[tuple[tuple[int, int], range]]:
    """Both halves of a range of windows, and the columns (or rows) that all windows of the half have more."""
    first, last = span
    middle = (first + last) // 2
    yield (first, middle), range(middle - 1, last - 1)
    yield (middle, last), range(first + size, middle + size)


def _in_order_of_need(graph: Graph, outputs: Sequence[Node]) -> list[Node]:
    """Each node just before its first use: fewer values are alive at a time than in the order of their making."""
    seen: set[Node] = set()
    ordered: list[Node] = []
    todo = [(node, False) for node in reversed(outputs)]
    while todo:
        node, ready = todo.pop()
        if ready:
            ordered.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            kind, a, b, _ = graph.nodes[node]
            if kind != "load":
                todo += [(b, False), (a, False)]
    return ordered
