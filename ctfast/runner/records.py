"""What any number of runs write down in one output folder, at the same time, without losing a line.

Each run appends to parts of its own, under a random name (``manifest.0123456789abcdef.jsonl``, ``statistics...``), that
it holds until it ends (``batch.held``). Whoever ends puts together all parts that nobody holds any more, its own and
those of killed runs, under the lock of the folder; parts of runs that are still at work stay. So the last one to end
leaves everything complete, and readers see every line at any time, because they read parts too.

The lock is ``filelock``'s on ``manifest.lock``, which stays in the folder: ``flock`` on local disks and on network file
systems that pass it on (NFS since version 4, SMB, Lustre mounted with ``flock``); where a system call for locks is
missing altogether it falls back to a file whose existence is the lock. An NFS mounted with ``nolock`` or
``local_lock=all`` keeps locks from other machines: use ``--shard`` there, whose files never meet.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Final

from filelock import FileLock

from ctfast.batch.held import left_alone, remove_leftovers
from ctfast.batch.journal import EncodedLines, Journal, JsonLines
from ctfast.batch.listing import matching
from ctfast.batch.progress import Progress, steps_of_closing
from ctfast.errors import UsageError
from ctfast.runner.index import Index
from ctfast.runner.manifest import PART, RECORDS, Shard, close_manifest, manifests, part_name, read_rows, set_aside
from ctfast.runner.mirror import Mirror
from ctfast.runner.outputs import Outputs
from ctfast.runner.planning import LISTED, RUN_FILE, Plan, holds_another_run, refuse_other_run, write_run_file
from ctfast.runner.statistics import close_statistics

LOCK: Final = "manifest.lock"

Append = Callable[..., None]


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One run at a time, over all processes that use the folder."""
    with FileLock(out / LOCK):
        yield


@contextmanager
def open_records(plan: Plan) -> Iterator[tuple[Append, Append]]:
    """Functions that append encoded rows and lines of statistics, once nothing speaks against the run any more.

    Raises:
        UsageError: another pipeline came into the folder since the plan was made, or is at work there.
    """
    if plan.mirror is not None:
        with _open_remote(plan, plan.mirror) as append:
            yield append
        return
    out, shard = plan.out, plan.options.shard
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with locked(out):
            refuse_other_run(out, Outputs(), plan.settings, plan.tasks, overwrite=plan.options.overwrite)
            if plan.options.overwrite and holds_another_run(out, plan.settings):
                _refuse_parts_at_work(out)
                _set_aside(out, str(out))
                for path in [path for pattern in RECORDS for path in matching(out, pattern)]:
                    path.unlink()
            write_run_file(plan)
            ending = f"{secrets.token_hex(8)}.jsonl"
            parts = [
                Journal(out / part_name(stem, ending, shard), EncodedLines()) for stem in ("manifest", "statistics")
            ]
            append_row, append_statistics = (
                stack.enter_context(part.appending(durable=plan.options.durable)) for part in parts
            )
        for folder, _ in groupby(chain([str(out)], (os.path.dirname(task.output) for task in plan.tasks))):
            remove_leftovers(Path(folder))
        yield append_row, append_statistics


@contextmanager
def _open_remote(plan: Plan, mirror: Mirror) -> Iterator[tuple[Append, Append]]:
    if plan.options.overwrite and holds_another_run(mirror.folder, plan.settings):
        _set_aside(mirror.folder, str(mirror.out))
        for pattern in RECORDS:
            mirror.remove(pattern)
    write_run_file(plan)
    mirror.send(RUN_FILE)
    if plan.options.shard is not None:
        mirror.send(part_name(LISTED, "json", plan.options.shard))
    with mirror.sending(plan.options.shard) as append:
        yield append


def close_run(plan: Plan, progress: Progress) -> None:
    """Put together what runs into the folder of this one left in it."""
    shard, files = plan.options.shard, len(plan.tasks) + plan.done + len(plan.ignored)
    several = 4 if any(step.is_statistic for step in plan.settings.pipeline.steps) else 2
    passed = steps_of_closing(progress, several * files)  # lines are taken in and given back
    if plan.mirror is None:
        close_records(plan.out, shard, durable=plan.options.durable, passed=passed)
    else:
        close_mirror(plan.mirror, shard, passed)


def close_mirror(mirror: Mirror, shard: Shard, passed: Callable[[], None] = lambda: None) -> None:
    """The same for a folder of a storage."""
    mirror.close(shard, partial(close_records, mirror.folder, shard, folder=str(mirror.out), passed=passed))


def close_records(
    out: Path, shard: Shard, *, durable: bool = False, folder: str = "", passed: Callable[[], None] = lambda: None
) -> None:
    """Put together what nobody appends to any more, in the memory of a small run however many rows there are.

    Args:
        out: the folder.
        shard: whose records.
        durable: flush them to the disk.
        folder: what ``out`` is called in full, where it is a copy.
        passed: called for each line that is read or written.
    """
    folder = folder or os.path.realpath(out)
    with locked(out), Index(folder, passed) as index, ExitStack() as stack:
        parts = [path for path in _parts(out, shard) if stack.enter_context(left_alone(path))]
        _merge_statistics(out, shard, durable, [path for path in parts if path.name.startswith("statistics")])
        for path in manifests(out, shard):
            index.add_rows(path)
        close_manifest(out, shard, index.rows(), durable=durable)
        for path in parts:
            path.unlink()
        close_statistics(out, index, shard, folder=folder)


def _merge_statistics(out: Path, shard: Shard, durable: bool, parts: list[Path]) -> None:
    if any(path.stat().st_size for path in parts):
        with Journal(out / part_name("statistics", "jsonl", shard), JsonLines()).appending_bytes() as file:
            for path in parts:
                file.writelines(text for _, _, text in Journal(path, JsonLines()).whole_lines())
        if durable:
            os.sync()


def _parts(out: Path, shard: Shard) -> list[Path]:
    patterns = (part_name(stem, "jsonl", shard).replace(".jsonl", ".*.jsonl") for stem in ("manifest", "statistics"))
    return [path for pattern in patterns for path in sorted(matching(out, pattern)) if PART.search(path.name)]


def _set_aside(records: Path, folder: str) -> None:
    """Another pipeline's outputs get other names; its records are removed and run.json is written next."""
    for row in read_rows(records, folder=folder):
        if row["status"] == "ok":
            set_aside(row["output"])


def _refuse_parts_at_work(out: Path) -> None:
    for path in _parts(out, None):
        with left_alone(path) as left:
            if not left and os.path.exists(path):
                raise UsageError(f"another pipeline is at work in {out}: wait for its end, or choose another --out")
