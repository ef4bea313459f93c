"""What a rule is, and a flag: the sentence, limit, source and test of a rule stand together in one ``Rule``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.wording import plural

Level = Literal["warning", "check", "note"]
LEVELS: Final[tuple[Level, ...]] = ("warning", "check", "note")

DISCLAIMER: Final = (
    "Flags are pointers for a person to look, by simple rules on pixel values and headers. They are never a diagnosis, "
    "and a slice without flags is not thereby normal. ctfast is not a medical device."
)

_MOST_NAMED: Final = 6

Records = Sequence[SliceRecord]
Match = tuple[tuple[int, ...], str]
"""The slices that meet a rule together, as positions in the records, and the value that met it."""
Find = Callable[[Records], Iterator[Match]]
Test = Callable[[SliceRecord], str | None]


def name_slices(records: Records, flags: Sequence[Flag]) -> str:
    """One or two slices with their values, more with their names."""
    ids = [records[flag.slices[0]].id for flag in flags]
    if len(flags) <= 2:
        return "; ".join(f"{name}, {flag.value}" for name, flag in zip(ids, flags, strict=True))
    return f"{plural(len(flags), 'slice')} ({', '.join(ids[:_MOST_NAMED])}{_more(flags, ', …')})"


def name_groups(word: str, more: str, _: Records, flags: Sequence[Flag]) -> str:
    """Groups of slices, such as ``2 patients``, each named by its value."""
    values = "; ".join(flag.value for flag in flags[:_MOST_NAMED])
    return f"{plural(len(flags), word, more)} ({values}{_more(flags, '; …')})"


def _more(flags: Sequence[Flag], text: str) -> str:
    return text if len(flags) > _MOST_NAMED else ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is looked for, at which limit, and why.

    ``find`` tests the records of a set; ``summarize`` says in a phrase which slices met the rule. Both can be pickled,
    as an analysis can.
    """

    key: str
    title: str
    level: Level
    find: Find = field(compare=False, repr=False)
    threshold: str
    explanation: str
    source: str
    summarize: Callable[[Records, Sequence[Flag]], str] = field(default=name_slices, compare=False, repr=False)

    def to_dict(self) -> dict[str, str]:
        """The texts, for JSON."""
        keys = ("key", "title", "level", "threshold", "explanation", "source")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True, slots=True)
class Flag:
    """A rule that some slices met: ``slices`` are positions in the collection, ``value`` is what met it."""

    rule: Rule
    slices: tuple[int, ...]
    value: str


def each_slice(test: Test) -> Find:
    """The search of a rule that looks at one slice at a time: ``test`` gives the value that meets it, or None."""
    return partial(_matches, test, False)


def each_hu_slice(test: Test) -> Find:
    """As :func:`each_slice`, for slices whose values are known to be HU."""
    return partial(_matches, test, True)


def _matches(test: Test, only_hu: bool, records: Records) -> Iterator[Match]:
    for index, record in enumerate(records):
        value = test(record) if record.units == "hu" or not only_hu else None
        if value is not None:
            yield (index,), value
