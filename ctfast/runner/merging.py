"""Put together what shards of a run left in one folder, and say which are missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ctfast.batch.journal import Journal, JsonLines
from ctfast.batch.listing import matching
from ctfast.batch.urls import Url, place
from ctfast.errors import UsageError
from ctfast.runner.manifest import manifest_of, manifests, part_name
from ctfast.runner.mirror import Mirror
from ctfast.runner.planning import LISTED, RUN_FILE, read_run_file
from ctfast.runner.records import close_mirror, close_records

_SHARD: Final = re.compile(r"manifest\.(\d+)-of-(\d+)\.jsonl")


@dataclass(frozen=True)
class Merged:
    """What was put together.

    Attributes:
        out: the folder.
        files: inputs by their status: ``ok``, ``failed``, ``skipped``.
        shards: whose manifests were found, by number.
        parts: how many shards there are in all; 0 where there are none.
    """

    out: Path
    files: dict[str, int]
    shards: tuple[int, ...]
    parts: int
    differ: bool = False
    """Whether the shards saw different files, so that some may be in none of them."""

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the shards that did not end here."""
        return tuple(number for number in range(1, self.parts + 1) if number not in self.shards)

    def text(self) -> str:
        """For people: the files, and the shards that are there and missing."""
        counted = ", ".join(f"{number} {status}" for status, number in self.files.items())
        lines = [f"{self.out / part_name('manifest', 'jsonl', None)}: {counted or 'no files'}"]
        if self.parts:
            lines.append(f"{len(self.shards)} of {self.parts} shards are there")
        if self.missing:
            words = ", ".join(f"--shard {number}/{self.parts}" for number in self.missing)
            lines.append(f"missing: {words}; run them and merge again")
        if self.differ:
            lines.append(
                "the shards saw different files, which came or went meanwhile, so that some may be in no shard: run "
                "all shards again (what is done stays), or once without --shard"
            )
        return "\n".join(lines)


def merge(out: str | Path) -> Merged:
    """Put the manifests, summaries and statistics of all shards in a folder together; no input is looked at.

    What a killed shard recorded is taken in; it counts as missing until it has ended. Merging again is allowed.

    Args:
        out: the folder that the shards share, or its URL.

    Raises:
        UsageError: no run's folder; shards of several divisions, or of another pipeline than the folder's.
    """
    out = place(out)
    mirror = Mirror(out) if isinstance(out, Url) else None
    merged = _merged(out if mirror is None else mirror.folder, out, mirror)
    return replace(merged, out=out)


def _merged(records: Path, out: Path, mirror: Mirror | None) -> Merged:
    about = read_run_file(records)
    if about is None:
        raise UsageError(f"{out} holds no {RUN_FILE}: give the folder that `ctfast run --out` filled")
    shards = sorted(_shards(records))
    divisions = sorted({parts for _, parts in shards})
    if len(divisions) > 1:
        listed = " and ".join(f"1/{parts} to {parts}/{parts}" for parts in divisions)
        raise UsageError(
            f"{out} holds shards of several divisions ({listed}), whose files overlap: move the manifests of one away, "
            "or run without --shard, which asks each file"
        )
    _refuse_other_pipelines(records, str(about.get("pipeline")))
    if mirror is None:
        close_records(out.resolve(), None)
    else:
        close_mirror(mirror, None)
    files: dict[str, int] = {}
    for row in manifest_of(records, None).records():
        files[row["status"]] = files.get(row["status"], 0) + 1
    lists = [records / part_name(LISTED, "json", shard) for shard in shards]
    seen = {path.read_bytes() for path in lists if path.exists()}
    numbers = tuple(number for number, _ in shards)
    return Merged(out, files, numbers, divisions[0] if divisions else 0, len(seen) > 1)


def _shards(out: Path) -> Iterator[tuple[int, int]]:
    for path in matching(out, "manifest.*-of-*.jsonl"):
        found = _SHARD.fullmatch(path.name)
        if found and 1 <= int(found[1]) <= int(found[2]):
            yield int(found[1]), int(found[2])


def _refuse_other_pipelines(out: Path, pipeline: str) -> None:
    for path in manifests(out, None):
        for row in Journal(path, JsonLines()).records():
            if row.get("pipeline") != pipeline:
                raise UsageError(
                    f"{path} is of pipeline {row.get('pipeline')}, {out / RUN_FILE} of {pipeline}: move it away"
                )
