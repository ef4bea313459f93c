"""The source string of a unit: one ``.cu`` file, its headers inlined, its specialisation in front.

CuPy's compilation cache does not look into headers found by ``-I``, so an edited header would go unnoticed: there is
one self-contained string instead. CuPy, the tests' NVRTC and the tests' g++ compile the very same one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from ctkernels.gpu._core.median_network import network_text

OPTIONS: Final = ("-std=c++17", "-default-device")
"""For NVRTC. ``-default-device``: lambdas in kernels are device code without being told so one by one."""

_PACKAGE = Path(__file__).parents[1]
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"[^\n]*$', re.MULTILINE)
_NETWORK = "median_network.cuh"
"""Not a file: made for the window's size by ``median_network.py``."""
_ONCE = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+once[^\n]*\n", re.MULTILINE)


def _path(name: str) -> Path:
    return _PACKAGE / name if name.endswith(".cu") else _PACKAGE / "include" / name


@lru_cache(maxsize=64)
def _inlined(unit: str) -> str:
    seen: set[str] = set()

    def expand(name: str) -> str:
        if name == _NETWORK:
            return f'#include "{_NETWORK}"'
        if name in seen:
            return ""
        seen.add(name)
        text = _ONCE.sub("", _path(name).read_text(encoding="utf-8"))
        return _INCLUDE.sub(lambda match: expand(match[1]), text)

    return expand(f"{unit}.cu")


def source(unit: str, defines: Mapping[str, str | int]) -> str:
    """The text that is compiled for ``<unit>.cu`` with ``defines`` before it.

    Raises:
        FileNotFoundError: no such unit or header in the package.
    """
    head = "".join(f"#define {name} {value}\n" for name, value in sorted(defines.items()))
    text = _inlined(unit)
    wanted = f'#include "{_NETWORK}"'
    if wanted in text:
        text = text.replace(
            wanted, network_text(int(defines["CTK_ROWS"]), int(defines["CTK_COLUMNS"]), int(defines["CTK_THREAD_ROWS"]))
        )
    return head + text
