"""The contract's rows hold together: examples that the checks take, and units that fit the kind of result."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

import ctfast
from ctfast.presets import PRESETS
from ctfast.tools import warm
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_is_a_call_and_a_step(name: str) -> None:
    image = np.arange(120, dtype=np.int16).reshape(10, 12)
    assert OPERATIONS[name].examples
    for example in OPERATIONS[name].examples:
        ctfast.Step(name, **example)
        getattr(ctfast, name)(image, **example)


@pytest.mark.parametrize("name", OPERATIONS)
def test_units_fit_the_kind(name: str) -> None:
    operation = OPERATIONS[name]
    assert (operation.units == "statistic") == operation.is_statistic == (operation.columns is not None)
    assert not (operation.units == "keeps" and operation.needs_hu), "what keeps any unit needs no particular one"


@pytest.mark.parametrize(
    ("steps", "keeps", "expects"),
    [
        (["median_filter", "gaussian_filter", "summary"], True, False),
        (["window"], False, True),
        (["clahe"], False, False),
        (["rescale"], False, False),
        (["median_filter", "label_tissue"], False, True),
    ],
)
def test_pipelines_read_the_units(steps: list[str], keeps: bool, expects: bool) -> None:
    pipeline = ctfast.Pipeline([ctfast.Step(name, **OPERATIONS[name].examples[0]) for name in steps])
    assert (pipeline.keeps_units, pipeline.expects_hu) == (keeps, expects)


def test_warm_compiles_every_example_in_every_dtype() -> None:
    calls = list(warm.calls())
    for name, operation in OPERATIONS.items():
        results = len(operation.out_dtypes) if operation.chooses_dtype else 1
        assert len([c for c in calls if c[0] == name]) == len(operation.examples) * len(IMAGE_DTYPES) * results


def test_warm_compiles_what_presets_take() -> None:
    common = {(name, image_dtype) for name, image_dtype, _ in warm.common_calls()}
    steps = [step for ready in PRESETS.values() for step in ready.pipeline.steps]
    assert {(step.operation, "int16") for step in steps} <= common
    assert {name for name, _ in common} == {step.operation for step in steps} | {"normalize", "standardize"}


def test_warm_says_what_and_how_far() -> None:
    shown = io.StringIO()
    done: list[str] = []
    todo = [warm.Part("first", (lambda: done.append("a"), lambda: done.append("b"))), warm.Part("then", ())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm, "parts", lambda everything: todo[: 2 if everything else 1])
        warm.compile_all(Console(file=shown), everything=True)
        warm.compile_all(Console(file=shown))
    lines = [line.split(maxsplit=2)[2] for line in shown.getvalue().splitlines()]
    assert lines == [
        "0 of 2 calls  first",
        "2 of 2 calls  then",
        "all kernels compiled and cached",
        "0 of 2 calls  first",
        "the kernels of presets and common calls compiled and cached",
    ]
    assert done == ["a", "b"] * 2
