"""Parts of pages that are made of the program itself, between ``<!-- made: NAME -->`` and ``<!-- end: NAME -->``.

``python docs/site/tables.py`` writes them into the pages, so that these can be read without the site. Pictures and the
help of all commands are on the site alone.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer

import ctfast
import ctfast.errors
from ctfast.cli import app
from ctfast.dispatch import call as dispatch_call
from ctfast.dispatch import plain
from ctfast.files.formats import READ, WRITTEN
from ctfast.presets import PRESETS
from ctkernels.contract import OPERATIONS, SAME


def presets() -> str:
    """What each preset is for."""
    rows = [
        f"| `{p.name}` | {p.window or 'none'} | {p.use} | {p.limits} |"
        for p in PRESETS.values()
        if not p.name.endswith("-plain")
    ]
    plain = PRESETS["lung-plain"]
    rows.append(f"| `{plain.name}`, and so on | as above | the same without CLAHE | {plain.limits} |")
    return "\n".join(["| preset | window (center, width in HU) | for | limits |", "|---|---|---|---|", *rows])


def formats() -> str:
    """What is read and written, and what it needs."""
    rows = []
    words = {row.name: row for row in WRITTEN}
    for row in READ:
        extra = f"`{row.extra}`" if row.extra else ""
        written = words.get(row.name)
        rows.append(
            f"| {row.title} | {' '.join(f'`{e}`' for e in row.extensions)} | {extra} "
            f"| {f'`--format {written.word}`' if written else ''} |"
        )
    return "\n".join(["| format | usual names | extra | written |", "|---|---|---|---|", *rows])


def toml() -> str:
    """A preset as a file."""
    return f"```toml\n{ctfast.preset('lung').to_toml()}```"


def operations() -> str:
    """What each operation gives, and what it equals."""
    lines = ["| operation | result | equal to | parameters |", "|---|---|---|---|"]
    for op in OPERATIONS.values():
        result = "as the input" if op.out_dtypes == SAME else ", ".join(op.out_dtypes)
        how = "equal to" if op.parity == "exact" else "within float32 rounding of"
        params = ", ".join(f"`{name}`" for name in [*(p.name for p in op.params), *(["where"] if op.masks else [])])
        oracles = ", ".join(f"`{o}`" for o in op.oracles) or "the reference"
        lines.append(f"| `{op.name}` | {result} | {how} {oracles} | {params} |")
    return "\n".join(lines)


def gallery() -> str:
    """A picture of each operation above the first line of its documentation."""
    parts = []
    for name in OPERATIONS:
        first = (getattr(ctfast, name).__doc__ or "").strip().partition("\n")[0].replace("``", "`")
        parts.append(
            f"## {name}\n\n{first} [Reference](reference/operations.md#ctfast.ops.{name})\n\n"
            f"![A synthetic slice before and after {name}](pictures/{name}.png)"
        )
    return "\n\n".join(parts)


def commands() -> str:
    """The help of every command, as a screen of 80 columns shows it."""
    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    return "\n\n".join(f"## {name}\n\n```text\n{_help(name)}\n```" for name in names)


def _help(name: str) -> str:
    root = Path(ctfast.__file__).parents[1]
    env: dict[str, Any] = {**os.environ, "COLUMNS": "80"}
    env["PYTHONPATH"] = os.pathsep.join([str(root / "kernels"), str(root)])
    done = subprocess.run(
        [sys.executable, "-m", "ctfast", name, "--help"], capture_output=True, text=True, check=True, env=env
    )
    return done.stdout.rstrip()


def containers() -> str:
    """What a median and its statistics give back for each kind of array, by running them."""
    hu = np.arange(6 * 16 * 20, dtype=np.int16).reshape(6, 16, 20)
    made: dict[str, Callable[[], Any]] = {
        "numpy": lambda: hu,
        "numpy.ma": lambda: np.ma.masked_less(hu, 3),
        "torch": lambda: importlib.import_module("torch").from_numpy(hu),
        "jax.numpy": lambda: importlib.import_module("jax.numpy").asarray(hu),
        "xarray": lambda: importlib.import_module("xarray").DataArray(hu, dims=("z", "y", "x")),
        "dask.array": lambda: importlib.import_module("dask.array").from_array(hu, chunks=(2, 16, 20)),
        "SimpleITK": lambda: importlib.import_module("SimpleITK").GetImageFromArray(hu),
        "nibabel": lambda: importlib.import_module("nibabel").Nifti1Image(hu.T, np.eye(4)),
    }
    lines = [
        "| came in | `window(x, ...)` gives | `median_filter(x, 3)` gives | pixels copied |",
        "|---|---|---|---|",
    ]
    for home, make in made.items():
        try:
            x = make()
        except ImportError:
            lines.append(f"| {home} | not installed here | | |")
            continue
        cells = (
            _given(lambda x=x: ctfast.window(x, center=40, width=400)),
            _given(lambda x=x: ctfast.median_filter(x, 3)),
            _copied(x),
        )
        lines.append(f"| {home} `{type(x).__name__}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _copied(x: Any) -> str:
    """Whether the kernel read the caller's memory and wrote that of the result, by their addresses."""
    seen: list[int] = []
    prepare, found = dispatch_call.prepare, plain._found

    def watched(made: Any) -> Any:
        def run(image: np.ndarray, out: np.ndarray, **params: Any) -> None:
            seen.extend([image.ctypes.data, out.ctypes.data])
            made.run(image, out, **params)

        return made and made._replace(run=run)

    # The long way of a call, and the short one of NumPy arrays.
    dispatch_call.prepare = lambda *args, **options: watched(prepare(*args, **options))
    plain._found = lambda *args: watched(found(*args))
    try:
        result = ctfast.median_filter(x, 3)
    except ctfast.errors.CTFastError:
        return ""
    finally:
        dispatch_call.prepare, plain._found = prepare, found
    if _address(x) is None:
        return "by block"
    copied = [
        word for word, at, memory in zip(("in", "out"), seen[:2], (x, result), strict=True) if at != _address(memory)
    ]
    return " and ".join(copied) or "no"


def _address(x: Any) -> int | None:
    """Of the first pixel; None where there is no array yet."""
    if hasattr(x, "unsafe_buffer_pointer"):
        return int(x.unsafe_buffer_pointer())
    if hasattr(x, "data_ptr"):
        return int(x.data_ptr())
    if hasattr(x, "GetPixelID"):
        return int(importlib.import_module("SimpleITK").GetArrayViewFromImage(x).ctypes.data)
    if hasattr(x, "dask"):
        return None
    return int(np.asanyarray(getattr(x, "dataobj", x)).ctypes.data)


def _given(call: Callable[[], Any]) -> str:
    try:
        result = call()
    except ctfast.errors.CTFastError as error:
        return f"refused: {str(error).partition(':')[0]}"
    return f"`{type(result).__name__}`"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "presets": presets,
    "formats": formats,
    "operations": operations,
    "toml": toml,
    "gallery": gallery,
    "commands": commands,
    "containers": containers,
}
ON_THE_SITE: Final = ("gallery", "commands")
_MADE: Final = re.compile(r"<!-- made: (\w+) -->\n.*?<!-- end: \1 -->", re.DOTALL)


def filled(text: str, *, site: bool) -> str:
    """A page with its parts made anew; ``site``: those too that only the site has."""

    def part(match: re.Match[str]) -> str:
        name = match[1]
        if name in ON_THE_SITE and not site:
            return match[0]
        return f"<!-- made: {name} -->\n\n{TABLES[name]()}\n\n<!-- end: {name} -->"

    return _MADE.sub(part, text)


if __name__ == "__main__":
    for page in Path(__file__).parents[1].glob("*.md"):
        page.write_text(filled(page.read_text(encoding="utf-8"), site=False), encoding="utf-8")
