"""The loops of a plan as LLVM code: explicit vectors, literal strides, unaligned loads.

Emitted directly because Numba spends its time on hundreds of assignments one by one (typing, SSA form), and because
LLVM's loop vectoriser then has nothing to prove: an 11 x 11 median compiles in about 1.3 s where the same network as
Python source took 17 s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ctkernels.cpu._core.target import has, processor
from ctkernels.cpu._core.vectors import ask
from ctkernels.cpu._median.floats import Oddities
from ctkernels.cpu._median.plan import IMAGE, OUT, Plan, Step, plan
from ctkernels.cpu._median.planes_plan import planes_plan
from ctkernels.cpu._median.rows import turn
from ctkernels.shared.networks import Node

_INT64 = ir.IntType(64)


@lru_cache(maxsize=64)
def vector_bytes(made: Plan) -> int:
    """Width of the vectors that are emitted; LLVM splits them where the processor's are narrower.

    On Zen 4, whose units are 32 bytes wide, 64-byte vectors gained 25 % at 3 x 3, which waits for loads and stores, and
    lost up to 20 % above. On an Emerald Rapids they take .60 to .63 of the time of 32 bytes at 13 and 15 a side, .68 to
    .81 in volumes at 5 and 7, and the same (.95 to 1.03) elsewhere.
    """
    return 64 if has("avx512bw") and not (made.keeps and processor() == "znver4") else 32


def lanes(made: Plan, itemsize: int) -> int:
    """Pixels in a vector."""
    return vector_bytes(made) // itemsize


def stride(made: Plan, itemsize: int) -> int:
    """Elements from one row of scratch memory to the next: a strip with its reach, and room to run over the end."""
    lane = lanes(made, itemsize)
    return (-(-(made.strip_bytes // itemsize + made.columns - 1) // lane) + 2) * lane


def scratch_size(made: Plan, itemsize: int) -> int:
    """Elements of scratch memory."""
    return max(made.height, 1) * stride(made, itemsize)


class _Emitter:
    """Emits the steps of one plan for one pixel type."""

    def __init__(self, builder, made: Plan, pixel, element, scratch, *, turned: bool = False) -> None:
        self.turned = turned
        """Whether results are floats' bits again, not keys."""
        self.builder, self.plan, self.scratch, self.element = builder, made, scratch, element
        real = pixel == types.float32
        self.compare = builder.fcmp_ordered if real else builder.icmp_signed if pixel.signed else builder.icmp_unsigned
        self.itemsize = pixel.bitwidth // 8
        self.lanes = lanes(made, self.itemsize)
        self.vector = ir.VectorType(element, self.lanes)
        self.stride = stride(made, self.itemsize)
        self.oddities: Oddities | None = None
        """Looks for pixels that have no key, in rows that nothing else looked through."""

    def line(self, table, index, row: int, offset):
        """Pointer to pixel ``offset`` of the row whose address stands in ``table[index + row]``."""
        number = self.builder.add(index, ir.Constant(_INT64, row))
        address = self.builder.load(self.builder.gep(table, [number]))
        return self.builder.gep(self.builder.inttoptr(address, self.element.as_pointer()), [offset])

    def at(self, pointer, shift: int, x):
        pointer = self.builder.gep(self.builder.gep(pointer, [x]), [ir.Constant(_INT64, shift)])
        return self.builder.bitcast(pointer, self.vector.as_pointer())

    def buffer(self, name: str, row: int):
        part, width = name.split(":")
        offset = (self.plan.buffers[part, int(width)] + row) * self.stride
        return self.builder.gep(self.scratch, [ir.Constant(_INT64, offset)])

    def step(self, step: Step, x, pointer: Callable[[str, int], Any]) -> None:
        """Loads, network and stores of one step at position ``x``."""
        builder = self.builder
        # Only nodes that some store needs: ranks that cannot hold the median any more were dropped on the way.
        values: dict[int, Any] = {}
        for node in step.graph.needed([node for _, _, node in step.stores]):
            kind, a, b, (name, shift) = step.graph.nodes[node]
            if kind == "load":
                values[node] = builder.load(self.at(pointer(name, a), shift, x), align=self.itemsize)
            else:
                below = self.compare("<", values[a], values[b])
                first, second = (a, b) if kind == "min" else (b, a)
                values[node] = builder.select(below, values[first], values[second])
        if self.oddities is not None:
            self.oddities.look_at(builder, [values[node] for node in self.centres(step)])
        for name, row, node in step.stores:
            if name == OUT and self.turned:
                values[node] = turn(builder, values[node], 8 * self.itemsize, self.lanes)
            builder.store(values[node], self.at(pointer(name, row), 0, x), align=self.itemsize)

    def centres(self, step: Step) -> list[Node]:
        """Of an image's pixels that a step loads, those that its results stand for: each of them once."""
        made = self.plan
        middle = range(made.rows // 2, made.rows // 2 + made.outputs)
        return [step.graph.load((IMAGE, made.columns // 2), row) for row in middle]

    def loop(self, step: Step, count, pointer: Callable[[str, int], Any], ahead: tuple[Any, ...] = ()) -> None:
        """The step for ``count`` positions and what it needs beyond; the last vector of results ends at ``count``.

        ``ahead``: addresses of rows that will be read and of rows that will be written, if any are to be asked for.
        """
        builder = self.builder
        lane = ir.Constant(_INT64, self.lanes)
        final = any(name == OUT for name, _, _ in step.stores)
        reach = builder.add(count, ir.Constant(_INT64, step.extra))
        with cgutils.for_range_slice(builder, ir.Constant(_INT64, 0), reach, lane, _INT64) as (x, _):
            # Results are never written beyond their end: the last vector is moved back and done in part once more.
            if final:
                last = builder.sub(count, lane)
                x = builder.select(builder.icmp_signed("<", x, last), x, last)
            # The next group's rows are neighbours: as many of their lines as this step's vectors are of this group's.
            ahead_bytes = self.plan.outputs * self.itemsize
            for begin, written in zip(ahead, (False, True)):
                address = builder.add(begin, builder.mul(x, ir.Constant(_INT64, ahead_bytes)))
                ask(builder, address, ahead_bytes * self.lanes, written)
            self.step(step, x, pointer)


def _median_strip(typingctx, scratch, lines, outs, first, column, count, rows, columns, by, ahead):
    """Medians of ``count`` columns (a vector at least) from ``column`` on, for one group of output rows.

    ``lines[first:]`` holds the addresses of the source rows, each beginning ``columns // 2`` pixels left of the image;
    ``outs[:]`` those of the output rows. Source rows are read a vector beyond their end. ``ahead``: None, or addresses
    of the ``outputs`` rows that will be read and written next (six short streams are more than a processor foresees:
    int16 in the third-level cache took a third more time without). False if a pixel of the rows that results stand for
    can't be a key of this type as it is (``floats``); for plans of one loop only.
    """
    if not all(isinstance(number, types.IntegerLiteral) for number in (rows, columns, by)):
        return None

    def emit(context, builder, signature, args):
        made = plan(rows.literal_value, columns.literal_value, by.literal_value)
        memory, in_table, out_table = (
            context.make_array(kind)(context, builder, value).data for kind, value in zip((scratch, lines, outs), args)
        )
        emitter = _Emitter(builder, made, scratch.dtype, context.get_value_type(scratch.dtype), memory)
        if scratch.dtype == types.float32 and len(made.steps) == 1:
            emitter.oddities = Oddities(builder, emitter.lanes)
        source = [emitter.line(in_table, args[3], row, args[4]) for row in range(made.sources_read)]
        zero = ir.Constant(_INT64, 0)
        result = [emitter.line(out_table, zero, row, args[4]) for row in range(made.outputs)]

        def pointer(name: str, row: int):
            return {IMAGE: source, OUT: result}[name][row] if name in (IMAGE, OUT) else emitter.buffer(name, row)

        addresses = () if isinstance(ahead, types.NoneType) else tuple(cgutils.unpack_tuple(builder, args[9], 2))
        # Loop after loop over the strip, so that lists of one are in cache for the next.
        for step in made.steps:
            emitter.loop(step, args[5], pointer, addresses)
        if emitter.oddities is not None:
            return builder.not_(emitter.oddities.found(builder))
        return ir.Constant(ir.IntType(1), 1)

    whole = types.int64
    return types.boolean(scratch, lines, outs, whole, whole, whole, rows, columns, by, ahead), emit


def _planes_stage(typingctx, stage, scratch, addresses, count, planes, rows, columns):
    """One stage of a plan for volumes, for ``count`` columns (a vector at least).

    ``addresses`` are those of what the plan names as the stage's roles; ``scratch`` holds lists that the stage keeps.
    Integer keys of 32 and 64 bits, which only floats have, leave as floats.
    """
    if not all(isinstance(number, types.IntegerLiteral) for number in (stage, planes, rows, columns)):
        return None

    def emit(context, builder, signature, args):
        made = planes_plan(planes.literal_value, rows.literal_value, columns.literal_value)
        memory, table = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in ((scratch, args[1]), (addresses, args[2]))
        )
        element = context.get_value_type(scratch.dtype)
        turned = scratch.dtype.bitwidth >= 32 and scratch.dtype != types.float32
        emitter = _Emitter(builder, made, scratch.dtype, element, memory, turned=turned)
        zero = ir.Constant(_INT64, 0)
        roles = made.roles(stage.literal_value)
        base = {role: emitter.line(table, zero, number, zero) for number, role in enumerate(roles)}

        def pointer(name: str, row: int):
            if name in (IMAGE, OUT):
                return base[f"{name}{row}"]
            if name in base:
                return builder.gep(base[name], [ir.Constant(_INT64, row * emitter.stride)])
            return emitter.buffer(name, row)

        for step in made.stages[stage.literal_value]:
            emitter.loop(step, args[3], pointer)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(stage, scratch, addresses, whole, planes, rows, columns), emit


planes_stage = intrinsic(prefer_literal=True)(_planes_stage)
median_strip = intrinsic(prefer_literal=True)(_median_strip)
