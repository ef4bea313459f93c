"""Which files an earlier run has done: nothing is done twice, and nothing is taken for done that is not.

An input is the one of then where its name, size and time are; one that was moved, copied or touched is read, and is the
same where its bytes are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from ctfast.batch.packed import Packed
from ctfast.batch.stamp import sha256_of, unchanged_since
from ctfast.batch.workers import bounded_map
from ctfast.runner.manifest import Row
from ctfast.runner.outputs import Outputs
from ctfast.runner.task import Task

_AT_ONCE: Final = 1024


def still_to_do(
    tasks: Iterable[Task],
    finished: Callable[[str], Row | None],
    outputs: Outputs,
    pipeline: str,
    workers: int,
    *,
    verify: bool,
) -> tuple[Packed[Task], Packed[Row]]:
    """The tasks that are left, and corrected lines of those that are done from an input that is elsewhere now.

    Args:
        tasks: all.
        finished: gives the manifest's line of an output.
        outputs: what is there.
        pipeline: hash of the one that must have done them.
        workers: files that are read at once, where some have to be.
        verify: read all, inputs and outputs, and compare their hashes.
    """
    todo, moved, waiting = Packed[Task](), Packed[Row](), iter(tasks)
    while some := list(islice(waiting, _AT_ONCE)):
        rows = [_row_of(task, finished(task.output), outputs, pipeline) for task in some]
        sure = [row is not None and not verify and _looks_as_then(task, row) for task, row in zip(some, rows)]
        unsure = [
            (task, row, verify) for task, row, is_sure in zip(some, rows, sure) if row is not None and not is_sure
        ]
        read = bounded_map(_with_same_bytes, unsure, workers) if unsure else iter(())
        for task, row, is_sure in zip(some, rows, sure):
            if row is None:
                todo.append(task)
            elif not is_sure:
                now = next(read)
                if now is None:
                    todo.append(task)
                elif now != row:
                    moved.append(now)
    return todo, moved


def _row_of(task: Task, row: Row | None, outputs: Outputs, pipeline: str) -> Row | None:
    """The line that may be about this task: of the same pipeline, names of inputs and size of the output."""
    if row is None or row["pipeline"] != pipeline:
        return None
    if _names(row["input"], row["inputs"]) != _names(task.source, task.inputs):
        return None
    size = outputs.size(row["output"])
    if size is None:
        return None
    return row if size == row["output_bytes"] or not row["output_hash"] else None  # first versions did not note it


def _looks_as_then(task: Task, row: Row) -> bool:
    same_place = (row["input"], row["inputs"]) == (task.source, task.inputs)
    return same_place and unchanged_since(task.stamp, row["input_bytes"], row["input_mtime"])


def _with_same_bytes(item: tuple[Task, Row, bool]) -> Row | None:
    """The line with the input's name and time of today, if its bytes (and where asked for the output's) are those."""
    task, row, verify = item
    try:
        size, modified = task.stamp()
        if size != row["input_bytes"] or sha256_of(*task.files) != row["input_hash"]:
            return None
        if verify and row["output_hash"] != sha256_of(row["output"]):
            return None
    except OSError:
        return None
    return {**row, "input": task.source, "inputs": task.inputs, "input_mtime": modified}


def _names(source: str, inputs: Sequence[str]) -> list[str]:
    """Of the files, which a folder's is not: it may have been given another one."""
    return [os.path.basename(path) for path in inputs or [source]]
