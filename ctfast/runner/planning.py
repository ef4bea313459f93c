"""What a run will do, decided and checked before any work: inputs, outputs, conflicts, what is done already."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from ctfast import __version__
from ctfast.batch.atomic import write_json
from ctfast.batch.limits import bytes_per_file
from ctfast.batch.packed import Packed
from ctfast.batch.parsing import parsed_json
from ctfast.batch.urls import Url, is_url, place
from ctfast.errors import UsageError
from ctfast.files import find_images
from ctfast.files.find import FoundFile, Ignored
from ctfast.files.formats import written
from ctfast.files.repeated import repeated
from ctfast.files.twins import without_twins
from ctfast.runner.index import indexed
from ctfast.runner.manifest import Row, part_name
from ctfast.runner.mirror import Mirror
from ctfast.runner.options import RunOptions
from ctfast.runner.outputs import Outputs, is_there
from ctfast.runner.refusals import refuse_impossible, refuse_urls
from ctfast.runner.resuming import still_to_do
from ctfast.runner.series import Named, group_files
from ctfast.runner.settings import Settings
from ctfast.runner.task import AT_ONCE, Task, is_remote
from ctfast.threads import get_num_threads

RUN_FILE = "run.json"
LISTED = "listed"
"""Of each shard: a hash of the names of all files that it saw."""
_OUTPUT: Final = attrgetter("output")


@dataclass
class Plan:
    """The tasks of one run.

    Attributes:
        out: folder of the outputs.
        settings: what the workers need to know.
        options: as the user gave them.
        tasks: still to do.
        done: files that an earlier run of the same pipeline finished.
        gone: inputs of finished outputs that are no longer there.
        mirror: the copy of the records, where the outputs go to a storage.
        moved: lines of finished outputs whose inputs, of the same bytes, lie elsewhere or have another time now.
        ignored: files in the input folders that are no images.
    """

    out: Path
    settings: Settings
    options: RunOptions
    tasks: Sequence[Task]
    done: int
    ignored: Sequence[Ignored]
    gone: Sequence[str] = ()
    moved: Sequence[Row] = ()
    mirror: Mirror | None = None
    listed: str = ""
    """A hash of the names of all outputs, of which a shard takes a part."""

    @property
    def records(self) -> Path:
        """The folder of manifest, statistics and run.json on this machine."""
        return self.out if self.mirror is None else self.mirror.folder


def make_plan(inputs: Sequence[str | Path], out: Path, settings: Settings, options: RunOptions) -> Plan:
    """Find the inputs, name the outputs, refuse what would lose or mix data.

    Raises:
        UsageError: nothing found; ``out`` inside an input or two inputs for one output; outputs of another pipeline; a
            format that can't hold what the pipeline gives.
        MissingDependencyError: inputs or outputs need a package that is not installed.
    """
    refuse_urls(inputs, out, settings, options.pool)
    mirror = Mirror(out) if isinstance(out, Url) else None
    out = out if mirror else out.resolve()
    outputs, records = (Outputs(), out) if mirror is None else (Outputs(mirror.listed), mirror.folder)
    _refuse_out_inside_inputs(inputs, out)
    images = without_twins(find_images(inputs), keep_dicom=settings.series)
    tasks, copies = _tasks(images.items, out, settings)
    left_out: Sequence[Ignored] = Packed(chain(images.ignored, copies)) if copies else images.ignored
    refuse_impossible((item.source for item in images.items), settings.pipeline, written(settings.format))
    del images  # a million files take their memory
    _refuse_collisions(tasks, out)
    refuse_other_run(records, outputs, settings, tasks, overwrite=options.overwrite)
    workers = options.workers or get_num_threads()
    with indexed(records, str(out)) as finished:
        gone = Packed(row["input"] for row in finished.not_among(map(_OUTPUT, tasks)) if not is_there(row["input"]))
        listed = ""
        if options.shard is not None:
            listed = _hash_of_names(tasks, str(out))
            part, parts = options.shard
            tasks, left_out = tasks[part - 1 :: parts], left_out[part - 1 :: parts]
        todo, moved = tasks, Packed[Row]()
        if finished.any and not options.overwrite:
            todo, moved = still_to_do(
                tasks,
                finished.find,
                outputs,
                settings.pipeline.hash,
                workers,
                resume=options.resume,
                verify=options.verify,
            )
    # Memory is shared by the files at work, not by workers that have none.
    at_once = min(workers * (AT_ONCE if any(map(is_remote, todo[:1])) else 1), max(len(todo), 1))
    settings = replace(settings, max_bytes=bytes_per_file(at_once), out=str(out))
    return Plan(out, settings, options, todo, len(tasks) - len(todo), left_out, gone, moved, mirror, listed)


def _hash_of_names(tasks: Iterable[Task], out: str) -> str:
    """The same in shards that saw the same files: then their parts of the list are the whole."""
    names = hashlib.sha256()
    for task in tasks:
        names.update(task.output.removeprefix(out).encode("utf-8", "surrogateescape") + b"\0")
    return names.hexdigest()


def _tasks(items: Sequence[FoundFile], out: Path, settings: Settings) -> tuple[Sequence[Task], list[Ignored]]:
    """What is to be done, file by file or series by series, and copies that are left out."""
    suffix = written(settings.format).output
    _folder.cache_clear()  # links may have changed since another run
    volumes: list[Named] = []
    copies: list[Ignored] = []
    if settings.series:
        volumes, items, copies = group_files(items, settings.units, settings.orient, settings.axes)
    tasks = Packed(
        Task(_source(item.source), os.path.join(out, f"{stem}{suffix}"), seen=item.stamp)
        for item, stem in zip(items, _stems(items))
    )
    if volumes:
        made = [Task(_source(str(one.folder)), str(out / f"{stem}{suffix}"), one) for one, stem in volumes]
        return [*tasks, *made], copies
    return tasks, copies


def _source(name: str) -> str:
    if is_url(name):
        return name
    try:
        if not stat.S_ISLNK(os.lstat(name).st_mode):  # only its folder, which many files share, may lie behind links
            folder, _, last = name.rpartition(os.sep)
            if last not in ("", ".", ".."):
                real = os.path.join(_folder(folder or (os.sep if name.startswith(os.sep) else "")), last)
                return name if real == name else real  # one text for both
        return os.path.realpath(name, strict=True)
    except OSError:  # a dead link, or no permission: failing under its own name says which file it is
        return os.path.abspath(name)


@lru_cache(maxsize=64)
def _folder(path: str) -> str:
    return os.path.realpath(path, strict=True)


def _stems(items: Sequence[FoundFile]) -> Iterator[str]:
    """Output paths without extension; inputs that differ in theirs alone (``v.nii``, ``v.nii.gz``) keep it."""
    alike = repeated(lambda: (item.output.casefold() for item in items))
    for item in items:
        is_alike = alike and item.output.casefold() in alike
        yield str(item.stem.with_name(item.path.name)) if is_alike else item.output


def _refuse_out_inside_inputs(inputs: Sequence[str | Path], out: Path) -> None:
    for given in inputs:
        folder = place(given)
        if isinstance(folder, Url) or isinstance(out, Url):
            if type(folder) is type(out) and (out == folder or folder in out.parents):
                raise _inside(out, folder)
            continue
        folder = folder.resolve()
        if folder.is_dir() and (out == folder or folder in out.parents):
            raise _inside(out, folder)


def _inside(out: Path, folder: Path) -> UsageError:
    where = "is the input" if out == folder else f"lies inside the input {folder}"
    return UsageError(f"--out {out} {where}: outputs would become inputs; choose another")


def _refuse_collisions(tasks: Sequence[Task], out: Path) -> None:
    # Case is ignored because a case-insensitive disk would let one output overwrite the other.
    for output in repeated(lambda: (task.output.casefold() for task in tasks)):
        task, other = [task for task in tasks if task.output.casefold() == output][:2]
        raise UsageError(
            f"two inputs for one output {other.output}: {task.source} and {other.source}; "
            "run them into different --out folders"
        )
    inside = os.path.join(out, "")
    sources = {task.source for task in tasks if task.source.startswith(inside)}
    for task in tasks if sources else ():
        if task.output in sources:
            raise UsageError(f"the output {task.output} is an input too; choose another --out")


def refuse_other_run(
    out: Path, outputs: Outputs, settings: Settings, tasks: Sequence[Task], *, overwrite: bool
) -> None:
    """Refuse a folder that holds another pipeline's outputs, or files of the same names that are not ours.

    Args:
        out: the folder of the records.
        outputs: what is there.
        settings, tasks: of the run.
        overwrite: whether all that may be.

    Raises:
        UsageError: with what is there and what to do.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: a folder is needed")
    if overwrite:
        return
    earlier = read_run_file(out)
    if earlier is not None:
        different = [k for k, v in settings.identity.items() if earlier.get(k) != v]
        if different:
            listed = ", ".join(f"{k} {earlier.get(k)} there, {settings.identity[k]} now" for k in different)
            raise UsageError(
                f"{out} holds the outputs of another run ({listed}); choose another --out or give --overwrite"
            )
    else:
        there = next((task.output for task in tasks if outputs.there(task.output)), None)
        if there is not None:
            raise UsageError(f"{there} exists and is not ours; choose another --out or give --overwrite")


def read_run_file(out: Path) -> dict[str, Any] | None:
    """What an earlier run said about itself, or None; earlier versions called the units ``values``."""
    try:
        data = parsed_json((out / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    if "values" in data:
        data.setdefault("units", data["values"])
    return {"axes": "auto", "offset": "0", "dataset": "none", "orient": "display", "series": "no", **data}


def holds_another_run(out: Path, settings: Settings) -> bool:
    """Whether the folder was filled by another pipeline, or in another format."""
    earlier = read_run_file(out)
    return earlier is not None and any(earlier.get(key) != value for key, value in settings.identity.items())


def write_run_file(plan: Plan) -> None:
    """Say in the output folder which pipeline fills it, the same text from every shard; and which files a shard saw."""
    steps, durable = plan.settings.pipeline.to_dict()["steps"], plan.options.durable
    write_json(
        plan.records / RUN_FILE, {**plan.settings.identity, "version": __version__, "steps": steps}, durable=durable
    )
    if plan.options.shard is not None:
        write_json(plan.records / part_name(LISTED, "json", plan.options.shard), {"names": plan.listed})
