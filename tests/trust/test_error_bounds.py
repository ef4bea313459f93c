"""The published table of errors: of every operation, and true."""

from __future__ import annotations

import re

from ctkernels.contract import OPERATIONS
from tests.cases import results_of
from tests.trust.error_bounds import END, PAGE, START, measure


def table() -> dict[tuple[str, str], str]:
    text = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    return {(m[1], m[2]): m[3] for m in re.finditer(r"^\| `(\w+)` \| ([\w ]+) \| cpu \| (.*) \|$", text, re.MULTILINE)}


def test_every_operation_and_result_is_there() -> None:
    expected = {
        (name, "as the contract" if operation.parity == "exact" else result or "as the image")
        for name, operation in OPERATIONS.items()
        if not operation.is_statistic
        for result in (results_of(name) if operation.parity == "close" else (None,))
    }
    assert set(table()) == expected


def test_it_is_what_is_measured() -> None:
    for name, result in (("window", "float32"), ("rescale", "int16")):
        published = dict(part.split(" ") for part in table()[name, result].split(", "))
        bound = measure(name, "int16", result, "cpu")
        if result == "int16":
            assert bound.off == int(published["int16"])
        else:
            assert bound.steps <= 1.5 * float(published["int16"])  # processors differ in the last bit
