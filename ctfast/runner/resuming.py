"""Which files an earlier run has done: nothing is done twice, and nothing is taken for done that is not.

An input is the one of then where its name, size and time are; one that was moved, copied or touched is read, and is the
same where its bytes are. Where another input that is still there has made the output, it is not replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from ctfast.batch.packed import Packed
from ctfast.batch.stamp import sha256_of, unchanged_since
from ctfast.batch.workers import bounded_map
from ctfast.errors import UsageError
from ctfast.runner.manifest import Row
from ctfast.runner.outputs import Outputs, is_there
from ctfast.runner.task import Task

_AT_ONCE: Final = 1024


def still_to_do(
    tasks: Iterable[Task],
    finished: Callable[[str], Row | None],
    outputs: Outputs,
    pipeline: str,
    workers: int,
    *,
    resume: bool,
    verify: bool,
) -> tuple[Packed[Task], Packed[Row]]:
    """The tasks that are left, and corrected lines of those that are done from an input that is elsewhere now.

    Args:
        tasks: all.
        finished: gives the manifest's line of an output.
        outputs: what is there.
        pipeline: hash of the one that must have done them.
        workers: files that are read at once, where some have to be.
        resume: whether anything may be taken for done.
        verify: read all, inputs and outputs, and compare their hashes.

    Raises:
        UsageError: an output of another input is in the way.
    """
    todo, moved, waiting = Packed[Task](), Packed[Row](), iter(tasks)
    while some := list(islice(waiting, _AT_ONCE)):
        found = [finished(task.output) for task in some]
        rows = [_row_of(task, row, outputs, pipeline) if resume else None for task, row in zip(some, found)]
        sure = [row is not None and not verify and _looks_as_then(task, row) for task, row in zip(some, rows)]
        unsure = [
            (task, row, verify) for task, row, is_sure in zip(some, rows, sure) if row is not None and not is_sure
        ]
        read = bounded_map(_with_same_bytes, unsure, workers) if unsure else iter(())
        for task, row, is_sure, before in zip(some, rows, sure, found):
            if is_sure:
                continue
            now = None if row is None else next(read)
            if now is None:
                _refuse_to_replace(before, task, outputs)
                todo.append(task)
            elif now != row:
                moved.append(now)
    return todo, moved


def _refuse_to_replace(before: Row | None, task: Task, outputs: Outputs) -> None:
    if before is None or before["input"] == task.source or set(before["inputs"]) & set(task.inputs):
        return
    if outputs.size(task.output) is not None and is_there(before["input"]):
        raise UsageError(
            f"{task.output} was made of {before['input']}, which is still there: {task.source} would replace it; "
            "choose another --out or give --overwrite"
        )


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
