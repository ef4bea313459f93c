"""Where compiled code is kept: a folder of our own or none, and never a reason for a call to fail.

Numba reads its cache by ``pickle``: who can write to the folder runs code as its reader. A folder outside of the
package is therefore used only if it is really one (no link), belongs to this user, and nobody else may write to it.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numba
from numba.core import sigutils
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

from ctkernels.cpu._core.room import ask_for_compiling, ask_for_loading
from ctkernels.cpu._core.sources import fingerprint

_warned: set[str] = set()
_loading_only: ContextVar[bool] = ContextVar("ctkernels_loading_only", default=False)


class NotCompiledError(BaseException):
    """Code was called that is not on the disk, where nothing is to be compiled; no error of the caller's work."""


@contextmanager
def loading_only() -> Iterator[None]:
    """Within, on this thread, code that would have to be compiled is an error (``NotCompiledError``)."""
    token = _loading_only.set(True)
    try:
        yield
    finally:
        _loading_only.reset(token)


def choose_cache_folder() -> None:
    """Keep compiled code on disk even when the package is installed read-only.

    Beside the source where that can be written to; else in the user's cache folder; else in the temporary directory,
    in a folder with the user's number, or a fresh one for this process alone where another user took that name. A
    user's own ``NUMBA_CACHE_DIR`` always wins.
    """
    if numba.config.CACHE_DIR or os.access(Path(__file__).parents[1], os.W_OK):
        return
    for folder in _candidates():
        if is_private(folder):
            numba.config.CACHE_DIR = str(folder)
            return
    try:
        fresh = tempfile.mkdtemp(prefix="ctfast-numba-")
    except OSError:
        return  # SafeCache says it if Numba finds no place either
    atexit.register(shutil.rmtree, fresh, ignore_errors=True)
    numba.config.CACHE_DIR = fresh


def _candidates() -> Iterator[Path]:
    home = os.environ.get("XDG_CACHE_HOME")
    if not home:
        try:
            home = str(Path.home() / ".cache")
        except RuntimeError:  # no HOME, and a user id without a name, as in some containers
            home = None
    if home:
        yield Path(home) / "ctfast" / "numba"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    try:
        yield Path(tempfile.gettempdir()) / f"ctfast-numba-{user}"
    except OSError:
        return


def is_private(folder: Path) -> bool:
    """Whether ``folder``, made here if it is missing, is a real folder of this user that nobody else can write to."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        state, parent = os.lstat(folder), os.stat(folder.parent)
    except OSError:
        return False
    if not stat.S_ISDIR(state.st_mode) or not os.access(folder, os.W_OK):
        return False
    if not hasattr(os, "getuid"):
        return True  # on Windows both places are the user's own
    ours = state.st_uid == os.getuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    # Who may rename what lies in the parent could put another folder in its place.
    held = parent.st_uid in (0, os.getuid()) and (
        not parent.st_mode & stat.S_IWOTH or bool(parent.st_mode & stat.S_ISVTX)
    )
    return ours and held


class _NamedByKey(IndexDataCacheFile):  # type: ignore[misc] # Numba has no types
    """Files of a function's compiled code, named by what they were compiled for.

    Numba numbers them. Two processes that compile one function for two dtypes at once take the same number, and the
    index of the one then leads to the code of the other: wrong values without a word (seen with Numba 0.68.1). With
    names of their own, the worst that two writers do to each other is to lose an entry, which is compiled again.
    """

    def save(self, key: Any, data: Any) -> None:
        name = self._data_name_pattern.format(number=int(hashlib.sha256(repr(key).encode()).hexdigest()[:12], 16))
        self._save_data(name, data)  # first, so that no index names a file that is not there yet
        self._save_index({**self._load_index(), key: name})


class SafeCache(FunctionCache):  # type: ignore[misc] # Numba has no types
    """Numba's cache of a function, whose errors (a full disk, a damaged file) cost a compilation and no result."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _NamedByKey(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(self._impl.locator.get_source_stamp(), fingerprint(function.__module__)),
        )

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        # As Numba's, but for compiled functions in a closure: their pickles differ from one process to the next.
        parts = self._py_func.__code__.co_code, dumps(_closure(self._py_func))
        return sig, codegen.magic_tuple(), tuple(hashlib.sha256(part).hexdigest() for part in parts)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        ask_for_loading()
        found = self._load(sig, target_context)
        if found is None:
            if _loading_only.get():
                raise NotCompiledError(self._py_func.__qualname__)
            ask_for_compiling()  # which is what Numba does next
        return found

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            # Numba gets ready to compile first (it imports SciPy's linear algebra among others), .4 s of every process.
            # Code from the disk needs Numba's runtime alone; whatever is compiled later gets ready by itself.
            rtsys.initialize(target_context)
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except MemoryError:
            raise
        except Exception as error:  # a damaged pickle raises anything
            self._tell("read", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Warning:
            raise
        except Exception as error:
            self._tell("written", error)

    def _tell(self, done: str, error: Exception) -> None:
        if self.cache_path not in _warned:
            _warned.add(self.cache_path)
            warnings.warn(
                f"compiled code can't be {done} in {self.cache_path} ({type(error).__name__}: {error}): it is compiled "
                "anew by each process; free space, delete that folder, or set NUMBA_CACHE_DIR to another one",
                RuntimeWarning,
                stacklevel=2,
            )


def _closure(function: Any) -> tuple[Any, ...]:
    """What a function takes from around it; of compiled functions what they are made of."""
    values = (cell.cell_contents for cell in function.__closure__ or ())
    return tuple(
        value if inner is None else (inner.__module__, inner.__qualname__, inner.__code__.co_code, _closure(inner))
        for value in values
        for inner in [getattr(value, "py_func", None)]
    )


def cached(compiled: Any) -> Any:
    """A jitted function that keeps its code on disk, where there is a place for it."""
    if not numba.config.DISABLE_JIT:
        with suppress(OSError, RuntimeError):  # no place at all: it is compiled by each process
            compiled._cache = SafeCache(compiled.py_func)
    return compiled


def c_function(signature: Any, function: Any) -> Any:
    """``numba.cfunc``, compiled or taken from the disk as ``cached`` functions are."""
    made: Any = CFunc(function, sigutils.normalize_signature(signature), locals={}, options={})
    with suppress(OSError, RuntimeError):  # no place at all: as above
        made._cache = SafeCache(function)
    made.compile()
    return made
