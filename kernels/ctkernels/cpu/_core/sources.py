"""What compiled code was made of: the source of a module, and of all modules of ctkernels that it imports.

Numba looks at the file of the function alone. A kernel that is emitted from a plan, or that holds the code of functions
of other files, would be taken from the disk after an upgrade that changed only those.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_IMPORT: Final = re.compile(r"^[ ]*(?:from (ctkernels[\w.]*) import ([\w, ]*)|import (ctkernels[\w.]*))", re.M)
_HOST: Final = frozenset(
    [
        "contract.py",
        "reference.py",
        *(f"cpu/_core/{name}.py" for name in ("cache", "job", "parallel", "scratch", "sources")),
    ]
)
"""What never ends up in compiled code, however many kernels import it."""


@cache
def fingerprint(module: str) -> str:
    """Of the sources that code of this module depends on; empty where there are none to read."""
    whole = hashlib.sha256()
    for name in sorted(sources_of(module)):
        whole.update(_digest(name))
    return whole.hexdigest() if sources_of(module) else ""


@cache
def sources_of(module: str) -> frozenset[str]:
    """Files of ctkernels that this module is or imports, at any remove, relative to the package."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = _file(waiting.pop())
        if name is not None and name not in found and name not in _HOST:
            found.add(name)
            waiting += _imported(name)
    return frozenset(found)


@cache
def _file(module: str) -> str | None:
    first, *rest = module.split(".")
    place = "/".join(rest)
    for name in (f"{place}.py", f"{place}/__init__.py".lstrip("/")):
        if first == "ctkernels" and (ROOT / name).is_file():
            return name
    return None


@cache
def _imported(name: str) -> tuple[str, ...]:
    modules: list[str] = []
    for base, names, plain in _IMPORT.findall((ROOT / name).read_text(encoding="utf-8")):
        modules.append(base or plain)
        # ``from package import module``; what is no module has no file.
        modules += [f"{base}.{part.split()[0]}" for part in names.split(",") if base and part.strip()]
    return tuple(modules)


@cache
def _digest(name: str) -> bytes:
    return hashlib.sha256((ROOT / name).read_bytes()).digest()
