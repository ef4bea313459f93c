"""Public names that are imported when they are first used, from one table: a package's ``__init__.pyi``.

Type checkers and editors read the same file. A line of the table is one name::

    from .training.fit import fit as fit  # extra nn: jax

The comment says which extra installs what the name needs, and the modules that tell whether it is there. Names whose
extra is not installed are left out of ``dir()`` and ``import *``; asking for one says which extra to install.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from ctfast.errors import missing_extra


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` (which knows ``__all__``) and ``__dir__`` of the package whose ``__init__.py`` is ``file``."""
    with open(f"{file}i", encoding="utf-8") as stub:
        rows = {line.split()[3]: line.split() for line in stub if line.startswith("from .")}

    def get(name: str) -> Any:
        if name == "__all__":
            return [n for n, (_, _, _, _, _, _, *needs) in rows.items() if _are_there(needs)]
        if name not in rows:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, needs = rows[name][1], rows[name][6:]
        try:
            module = importlib.import_module(f"{package}.{name}" if home == "." else f"{package}{home}")
        except ModuleNotFoundError as error:
            if not needs:
                raise
            raise missing_extra(f"{package}.{name} needs {error.name}", needs[2].rstrip(":")) from error
        value = module if home == "." else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *get("__all__")})


def _are_there(needs: list[str]) -> bool:
    """Whether what a comment ``# extra nn: jax, sklearn`` names, in words, is installed."""
    from importlib.util import find_spec

    return all(find_spec(module.rstrip(",")) for module in needs[3:])
