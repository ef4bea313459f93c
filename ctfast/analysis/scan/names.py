"""Names of slices that tell them apart, whichever inputs they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ctfast.batch.cells import printable
from ctfast.files import FoundFile
from ctfast.files.repeated import repeated


def name_of(item: FoundFile) -> str:
    """The path below the input folder; the bare name of a file that was named."""
    return printable(str(item.stem.with_name(item.path.name)))


def told_apart(items: Sequence[FoundFile]) -> Sequence[FoundFile]:
    """The items, below the names of their input folders where two inputs hold files of one name.

    Folders of one name are numbered, because what lies above them is not for a report.
    """
    if not repeated(lambda: map(name_of, items)):
        return items
    bases = list(dict.fromkeys(map(_base, items)))
    names = Counter(base.name for base in bases)
    met: Counter[str] = Counter()
    prefix: dict[Path, str] = {}
    for base in bases:
        met[base.name] += 1
        prefix[base] = base.name if names[base.name] == 1 else f"{base.name} ({met[base.name]})"
    return list(_below(items, prefix))


def _base(item: FoundFile) -> Path:
    """The input folder, or the folder of a file that was named."""
    path = item.path.absolute()
    return path.parents[min(len(item.stem.parts), len(path.parents)) - 1]


def _below(items: Sequence[FoundFile], prefix: dict[Path, str]) -> Iterator[FoundFile]:
    for item in items:
        yield item._replace(output=f"{prefix[_base(item)]}/{item.output}")


def shortest(names: Sequence[str]) -> dict[str, str]:
    """The last parts of each path, as many as tell it from the others: patients' folders hold files of one name."""
    short: dict[str, str] = {}
    left, parts = list(dict.fromkeys(names)), 1
    while left:
        tails = {name: "/".join(name.split("/")[-parts:]) for name in left}
        met = Counter(tails.values())
        short |= {name: tail for name, tail in tails.items() if met[tail] == 1 or tail == name}
        left, parts = [name for name in left if name not in short], parts + 1
    return short
