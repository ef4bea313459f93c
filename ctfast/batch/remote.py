"""Files that URLs name, through fsspec: whole files in, whole files out.

An object appears when it is complete, or not at all: that is how object stores take them, so nothing here is written
in pieces. Whatever goes wrong is somebody's fault: a file's, which is told beside its name, or the storage's (no
bucket, no access, no network), which is a ``MachineError`` and ends a run. Where a file can't be read, its folder is
asked: if that can't be either, it is the storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from ctfast.batch.urls import SCHEME, scheme_of
from ctfast.errors import MachineError, MissingDependencyError, UsageError, missing_extra

_TIMES: Final = ("LastModified", "mtime", "updated", "last_modified", "created")
"""What systems call the time of a file's last change; objects are never changed after they were made."""


class Stamp(NamedTuple):
    """What a file looked like from outside.

    Attributes:
        size: in bytes.
        modified: seconds since the epoch.
    """

    size: int
    modified: float


def system_of(url: str | Path) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        MissingDependencyError: a package is needed; names the pip command.
        UsageError: no such kind of URL.
    """
    text, scheme = str(url), scheme_of(url)
    if "::" in text:
        raise UsageError(f"{text}: chained URLs are not taken; name the file by one URL")
    try:
        import fsspec
        from fsspec.registry import known_implementations
    except ImportError:
        raise missing_extra(f"{scheme}:// needs fsspec", "remote") from None
    try:
        system = fsspec.filesystem(scheme)
    except ImportError as error:
        if scheme in ("s3", "s3a"):
            raise missing_extra(f"{scheme}:// needs s3fs", "remote") from error
        known = known_implementations[scheme]["class"].partition(".")[0]
        raise MissingDependencyError(f"{scheme}:// needs {known}: pip install {known}") from error
    except ValueError as error:
        raise UsageError(f"{text}: {scheme}:// is not known; s3://, gs://, file:// and memory:// are taken") from error
    return system, system._strip_protocol(text)


def check(url: str | Path) -> None:
    """Refuse a URL whose kind can't be used here; see ``system_of``."""
    system_of(url)


def listed(folder: str | Path) -> dict[str, Stamp]:
    """All files below a folder, asked anew: URL and stamp, sorted; none where it is not there (object stores have no
    empty folders).

    Raises:
        MachineError: the storage can't be asked.
    """
    system, path = system_of(folder)
    with _asking(folder):
        system.invalidate_cache()
        try:
            found = system.find(path, detail=True)
        except FileNotFoundError:
            if path.strip("/") != (root := _root(system, path)) and not system.exists(root):
                raise
            if path.strip("/") == root:
                raise
            return {}
    return {_url(folder, name): _stamp(info) for name, info in sorted(found.items())}


def is_folder(url: str | Path) -> bool | None:
    """Whether a URL names a folder, or a file; None where nothing is there.

    Raises:
        MachineError: the storage can't be asked.
    """
    system, path = system_of(url)
    with _asking(url):
        try:
            return system.info(path)["type"] == "directory"
        except FileNotFoundError:
            if not system.exists(_root(system, path)):
                raise
            return None


def matching(pattern: str | Path) -> list[str]:
    """The URLs of files that a pattern stands for, sorted."""
    system, path = system_of(pattern)
    with _asking(pattern):
        return [_url(pattern, name) for name, info in sorted(system.glob(path, detail=True).items()) if _is_file(info)]


def stamp(url: str | Path) -> Stamp:
    """Size and time of a file, as listed if it was.

    Raises:
        OSError: it is not there, or the storage can't be asked (``MachineError``).
    """
    system, path = system_of(url)
    with _reading(url):
        return _stamp(system.info(path))


def exists(url: str | Path) -> bool:
    """Whether there is such a file."""
    try:
        stamp(url)
    except FileNotFoundError:
        return False
    return True


def read(url: str | Path) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: this file can't be read; or the storage can't (``MachineError``).
    """
    system, path = system_of(url)
    with _reading(url):
        try:
            return system.cat_file(path)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:  # connections break; once is no reason to fail a file
            return system.cat_file(path)


def heads(urls: Iterable[str | Path], size: int) -> Iterator[bytes | OSError]:
    """The first bytes of files, many at once where the system can."""
    names = list(map(str, urls))
    if not names:
        return
    system, _ = system_of(names[0])
    paths = [system._strip_protocol(name) for name in names]
    with _asking(names[0]):
        answers = system.cat_ranges(paths, [0] * len(paths), [size] * len(paths), on_error="return")
    for name, answer in zip(names, answers):
        yield answer if isinstance(answer, bytes) else OSError(f"{name}: {_text(answer)}")


def write(url: str | Path, data: bytes | memoryview | IO[bytes]) -> None:
    """A file of these bytes, whole or not at all; a temporary file of the disk is read as it is.

    Raises:
        MachineError: it can't be written.
    """
    system, path = system_of(url)
    with _asking(url):
        if isinstance(data, bytes | memoryview):
            system.pipe_file(path, bytes(data))
        else:
            data.flush()
            system.put_file(data.name, path)


def remove(url: str | Path) -> None:
    """Remove a file, there or not."""
    system, path = system_of(url)
    with _asking(url), suppress(FileNotFoundError):
        system.rm_file(path)


def rename(url: str | Path, to: str | Path) -> None:
    """Give a file another name."""
    system, path = system_of(url)
    with _asking(url):
        system.mv(path, system._strip_protocol(str(to)))


@contextmanager
def _asking(url: str | Path) -> Iterator[None]:
    """What can't be done is the storage's fault."""
    try:
        yield
    except (MachineError, UsageError, MissingDependencyError):
        raise
    except Exception as error:
        raise _storage(url, error) from error


@contextmanager
def _reading(url: str | Path) -> Iterator[None]:
    """What can't be read is the file's fault, if its folder can be asked."""
    try:
        yield
    except MachineError:
        raise
    except Exception as error:
        system, path = system_of(url)
        with _asking(url):
            system.invalidate_cache()
            system.info(path.rpartition("/")[0])
        raise error if isinstance(error, OSError) else OSError(_text(error)) from error


def _storage(url: str | Path, error: BaseException) -> MachineError:
    return MachineError(
        f"{url}: {_text(error)}: look after the storage, its address (AWS_ENDPOINT_URL) and the credentials "
        "(aws configure, AWS_PROFILE, AWS_ACCESS_KEY_ID)"
        if scheme_of(url) in ("s3", "s3a")
        else f"{url}: {_text(error)}: look after the storage and the credentials for it"
    )


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _stamp(info: dict[str, Any]) -> Stamp:
    when = next((info[name] for name in _TIMES if info.get(name)), 0.0)
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return Stamp(int(info["size"] or 0), when.timestamp() if isinstance(when, datetime) else float(when))


def _is_file(info: dict[str, Any]) -> bool:
    return info["type"] == "file"


def _root(system: Any, path: str) -> str:
    """The bucket."""
    return path.strip("/").partition("/")[0]


def _url(like: str | Path, name: str) -> str:
    return f"{scheme_of(like)}{SCHEME}{name.lstrip('/')}"
