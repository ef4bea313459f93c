"""Append-only files of whole records, so that a killed run loses nothing that it wrote.

Each record is with the system as soon as it is appended. What a kill (or a full disk) left of a half record at the end
is no record: readers leave it out, and the next one who appends cuts it off first. A table is replaced by a shorter or
sorted one through ``rewrite``, whole or not at all. One process at a time appends to a journal; others can tell that it
does (``batch.held``). Several share one only under a lock of their own (``SharedJournal``).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Generic, Protocol, TypeVar

from ctfast.batch.atomic import replacing
from ctfast.batch.held import hold
from ctfast.batch.parsing import parsed_json
from ctfast.errors import MachineError, UsageError

R = TypeVar("R")


_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Kind(Protocol[R]):
    """How records are written; each ends with a line end."""

    @property
    def columns(self) -> Sequence[str] | None:
        """The header; None where there is none."""

    @property
    def quoted(self) -> bool:
        """Whether a line end between quotation marks belongs to the record."""

    def encode(self, record: R) -> bytes:
        """A record with its line end."""

    def decode(self, text: bytes) -> R | None:
        """The record that a whole text stands for; None where it is none of this kind."""


class JsonLines:
    """One JSON object a line."""

    columns: Final = None
    quoted: Final = False

    def encode(self, record: dict[str, Any]) -> bytes:
        """Compact, in UTF-8; names of files that are no text as escapes."""
        try:
            return _encode(record).encode() + b"\n"
        except UnicodeEncodeError:
            return json.dumps(record, separators=(",", ":")).encode() + b"\n"

    def decode(self, text: bytes) -> dict[str, Any] | None:
        """The object; None for anything else."""
        try:
            data = parsed_json(text)
        except ValueError:
            return None
        return data if isinstance(data, dict) else None


class EncodedLines(JsonLines):
    """The same, where records are lines already: any number of them, each with its line end."""

    def encode(self, record: Any) -> bytes:
        """As it is."""
        return record


@dataclass(frozen=True)
class CsvRows:
    """Rows of text under a header; cells may hold line ends, in quotation marks."""

    columns: Sequence[str]
    quoted: bool = True

    def encode(self, record: Sequence[str]) -> bytes:
        """As the csv module does it, in UTF-8."""
        out = io.StringIO()
        csv.writer(out).writerow(record)  # its own line end, because only then it quotes a lone \\r
        return out.getvalue().removesuffix("\r\n").encode(errors="backslashreplace") + b"\n"

    def decode(self, text: bytes) -> list[str] | None:
        """The cells; None where their number is another one."""
        try:
            cells = next(csv.reader([text.decode(errors="replace")], strict=True))
        except csv.Error:
            return None
        return cells if len(cells) == len(self.columns) else None


@dataclass(frozen=True)
class Journal(Generic[R]):
    """A file of records, there or not yet.

    Attributes:
        path: the file; its folder must exist before anything is written.
        kind: ``JsonLines()`` or ``CsvRows(columns)``.
    """

    path: Path
    kind: Kind[R]

    def records(self) -> Iterator[R]:
        """The whole records in order; none where there is no file.

        Raises:
            UsageError: the file is something else: a folder, or a table with other columns.
        """
        return (record for _, record in self.located())

    def located(self, after: int = 0) -> Iterator[tuple[int, R]]:
        """The same, each with the byte where it begins; from ``after`` on, the end of a record."""
        for start, text in self._whole_texts(after):
            record = None if start == 0 and self.kind.columns is not None else self.kind.decode(text)
            if record is not None:
                yield start, record

    def end(self, after: int = 0) -> int:
        """The byte where the last whole record ends; what lies before ``after``, the end of a record, is not read."""
        end = after
        for start, text in self._whole_texts(after):
            end = start + len(text)
        return end

    def whole_lines(self, file: IO[bytes] | None = None) -> Iterator[tuple[int, int, bytes]]:
        """Where each whole record begins, its size and its bytes, of files without a header; some may be no records.

        ``file``: the journal, where somebody has opened it already.
        """
        texts = self._whole_texts() if file is None else self._whole_texts_of(file)
        return ((start, len(text), text) for start, text in texts)

    @contextmanager
    def appending(self, *, durable: bool = False) -> Iterator[Callable[..., None]]:
        """A function that appends the records it is given, together, and where ``durable`` flushes them to the disk.

        Raises:
            UsageError: as for ``records``; the file stays as it is then.
            MachineError: when appending, where the file was moved or removed meanwhile: nobody would find the records.
        """
        with self.appending_bytes() as file:
            file.flush()
            opened = os.fstat(file.fileno())

            def append(*records: R) -> None:
                file.write(b"".join(map(self.kind.encode, records)))
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                if not _is(self.path, opened):
                    raise _moved(self.path)

            yield append

    @contextmanager
    def appending_bytes(self) -> Iterator[IO[bytes]]:
        """The file, held, open behind its last whole record: for many records that are encoded already.

        Raises:
            UsageError: as for ``records``; the file stays as it is then.
        """
        end = self.end()
        with self.path.open("ab") as file:
            hold(file)
            file.truncate(end)
            if end == 0:
                file.write(self._header)
            yield file

    def rewrite(self, records: Iterable[R], *, durable: bool = False) -> None:
        """Replace the file, whole or not at all; ``records`` may come from the file as it is."""
        with replacing(self.path, "wb", durable=durable) as file:
            file.write(self._header)
            file.writelines(map(self.kind.encode, records))

    @property
    def _header(self) -> bytes:
        return b"" if self.kind.columns is None else CsvRows(self.kind.columns).encode(self.kind.columns)

    def _whole_texts(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Where each text begins that ends as a record does, and the text, the header first; from ``after`` on."""
        if self.path.is_dir():
            raise UsageError(f"{self.path} is a folder: name a file in it")
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            yield from self._whole_texts_of(file, after)

    def _whole_texts_of(self, file: IO[bytes], after: int = 0) -> Iterator[tuple[int, bytes]]:
        start, lines, inside_quotes = file.seek(after), [], False
        if self.kind.columns is None and not self.kind.quoted:  # a line a record, which is most of all there are
            for line in file:
                if line.endswith(b"\n"):
                    yield start, line
                    start += len(line)
            return
        for line in file:
            lines.append(line)
            inside_quotes ^= self.kind.quoted and line.count(b'"') % 2 == 1
            if line.endswith(b"\n") and not inside_quotes:
                text, lines = b"".join(lines), []
                if start == 0:
                    self._refuse_other_columns(text)
                yield start, text
                start += len(text)
        if start == 0 and not self._header.startswith(rest := b"".join(lines)):
            self._refuse_other_columns(rest)

    def _refuse_other_columns(self, text: bytes) -> None:
        if self.kind.columns is not None and self.kind.decode(text) != list(self.kind.columns):
            listed = ", ".join(self.kind.columns[:4])
            raise UsageError(f"{self.path} is not a table with the columns {listed}, ...: choose another name for it")


class SharedJournal(Generic[R]):
    """A journal to which other processes append too, and which they rewrite; each call is made under their common lock.

    Args:
        journal: the file, which exists.
        see: called with each record of others before this process appends the next; may refuse it.
    """

    def __init__(self, journal: Journal[R], see: Callable[[R], None]) -> None:
        self._journal, self._see = journal, see
        # Kept open, so that no file that another process puts in its place is taken for the same one.
        self._file = self._open()
        self._end = 0

    def append(self, *records: R) -> None:
        """Add records that belong together.

        Raises:
            MachineError: the file was moved or removed.
        """
        if not _is(self._journal.path, os.fstat(self._file.fileno())):
            self.close()
            self._file, self._end = self._open(), 0
        for _, record in self._journal.located(self._end):
            self._see(record)
        self._file.truncate(self._journal.end(self._end))
        self._file.seek(0, os.SEEK_END)
        self._file.write(b"".join(map(self._journal.kind.encode, records)))
        self._file.flush()
        self._end = self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> IO[bytes]:
        try:
            return self._journal.path.open("r+b")
        except FileNotFoundError:
            raise _moved(self._journal.path) from None


def _moved(path: Path) -> MachineError:
    return MachineError(f"{path} was moved or removed while it was being written")


def _is(path: Path, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), opened)
    except OSError:
        return False
