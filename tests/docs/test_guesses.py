"""The page of guesses: its rows are those that the script makes, and what it says of ctfast is right."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from ctfast.files import read_image

ROOT = Path(__file__).parents[2]


def script() -> Any:
    spec = importlib.util.spec_from_file_location("guesses", ROOT / "docs" / "site" / "guesses.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["guesses"] = module
    spec.loader.exec_module(module)
    return module


GUESSES = script()


def test_the_page_has_the_rows_that_the_script_makes() -> None:
    lines = [
        line.split(" | ")[0].strip("| ") for line in GUESSES.PAGE.read_text().splitlines() if line.startswith("| ")
    ]
    assert lines[2:] == [case.name for case in GUESSES.CASES]


@pytest.mark.parametrize("case", GUESSES.CASES, ids=lambda case: case.name)
def test_ctfast_is_right(case: Any, tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    answer = case.ctfast(read_image(case.make(tmp_path)))
    assert GUESSES.told(answer, case.right) == GUESSES.told(case.right, case.right)
