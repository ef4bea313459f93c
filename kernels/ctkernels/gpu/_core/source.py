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

_NETWORK: Final = "median_network.cuh"
"""Not a file: made for the window's size by ``median_network.py``."""

NETWORK_LINE: Final = f'#include "{_NETWORK}"'
"""Where it goes in :func:`inlined`."""

_PACKAGE = Path(__file__).parents[1]
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"[^\n]*$', re.MULTILINE)
_ONCE = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+once[^\n]*\n", re.MULTILINE)


def _path(name: str) -> Path:
    return _PACKAGE / name if name.endswith(".cu") else _PACKAGE / "include" / name


HEADERS: Final = ("border", "common", "line")
"""Headers that make sense by themselves: borders as filters extend them; vectors, reductions over warps and blocks,
keys that sort as pixels do; lines with clipped ends, by which windows and normalisation map pixels."""


def include_source(*headers: str) -> str:
    """Our device functions as text, to stand in front of a CUDA kernel of your own.

    >>> module = cupy.RawModule(code=include_source("border") + kernel, options=OPTIONS)

    All names begin with ``ctk_`` or ``CTK_``. Compile it by NVRTC, with ``OPTIONS``.

    Args:
        headers: of ``HEADERS``; none stands for all.

    Raises:
        ValueError: another one.
    """
    unknown = [name for name in headers if name not in HEADERS]
    if unknown:
        raise ValueError(f"headers={unknown!r}: {', '.join(HEADERS)} are there")
    return _expanded(tuple(f"{name}.cuh" for name in headers or HEADERS))


def inlined(unit: str) -> str:
    """``<unit>.cu`` with its headers in it, but for the network's."""
    return _expanded((f"{unit}.cu",))


@lru_cache(maxsize=64)
def _expanded(files: tuple[str, ...]) -> str:
    seen: set[str] = set()

    def expand(name: str) -> str:
        if name == _NETWORK:
            return NETWORK_LINE
        if name in seen:
            return ""
        seen.add(name)
        text = _ONCE.sub("", _path(name).read_text(encoding="utf-8"))
        return _INCLUDE.sub(lambda match: expand(match[1]), text)

    return "".join(map(expand, files))


def source(unit: str, defines: Mapping[str, str | int]) -> str:
    """The text that is compiled for ``<unit>.cu`` with ``defines`` before it.

    Raises:
        FileNotFoundError: no such unit or header in the package.
    """
    head = "".join(f"#define {name} {value}\n" for name, value in sorted(defines.items()))
    text = inlined(unit)
    if NETWORK_LINE in text:
        rows, columns, thread_rows = (int(defines[f"CTK_{name}"]) for name in ("ROWS", "COLUMNS", "THREAD_ROWS"))
        planes = int(defines.get("CTK_PLANES", 1))
        text = text.replace(NETWORK_LINE, network_text(planes * rows, columns, thread_rows))
    return head + text
