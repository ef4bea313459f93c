"""Budgets of the kernels, in ``budgets.json``: what they may take on a GPU and ask of its memory.

After a change that is meant to cost more or less: empty that part of the file and run
``CTFAST_BUDGETS=write CTFAST_ALL_ARCHITECTURES=1 pytest tests/gpu``; the largest numbers measured become the budgets,
and the difference of the file shows what the change costs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

PATH: Final = Path(__file__).with_name("budgets.json")
WRITE: Final = os.environ.get("CTFAST_BUDGETS") == "write"


def read() -> dict[str, Any]:
    """The whole file."""
    budgets: dict[str, Any] = json.loads(PATH.read_text())
    return budgets


def hold(part: str, name: str, measured: dict[str, float]) -> None:
    """Every number of ``measured`` is at most its budget; one without a budget is an error."""
    budgets = read()
    kept = budgets[part].get(name, {})
    if WRITE:
        budgets[part][name] = {k: max(v, kept.get(k, 0)) for k, v in measured.items()}
        budgets[part] = dict(sorted(budgets[part].items()))
        PATH.write_text(json.dumps(budgets, indent=1) + "\n")
        return
    for key, value in measured.items():
        assert key in kept, f"{part} of {name}: {key} is {value} and has no budget ({PATH.name})"
        assert value <= kept[key], f"{part} of {name}: {key} is {value}, its budget is {kept[key]}"
