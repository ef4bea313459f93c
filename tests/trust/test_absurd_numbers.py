"""Pipelines that a slip of the keyboard makes: refused with the reason, before they cost memory or time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import ArgumentError

IMAGE = np.zeros((64, 64), np.int16)
DIGITS = 10**4000


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("median_filter", {"size": 100_001}),
        ("median_filter", {"size": 1_000_000_001}),
        ("median_filter", {"size": DIGITS + 1}),
        ("median_filter", {"size": 10**5000 + 1}),  # of more digits than Python writes
        ("gaussian_filter", {"sigma": 1e7}),
        ("gaussian_filter", {"sigma": 1e308}),
        ("gaussian_filter", {"sigma": DIGITS}),
        ("gaussian_filter", {"sigma": 1.0, "truncate": DIGITS}),
        ("clahe", {"tile_grid": (1_000_000, 1_000_000)}),
        ("clahe", {"clip_limit": DIGITS}),
        ("histogram", {"bins": DIGITS}),
        ("window", {"width": 1, "center": DIGITS}),
        ("window", {"center": 0, "width": DIGITS}),
        ("rescale", {"slope": DIGITS}),
        ("normalize", {"in_range": (0, DIGITS)}),
        ("normalize", {"percentiles": (0, DIGITS)}),
        ("normalize", {"value_range": (0, DIGITS)}),
        ("label_tissue", {"edges": (0, DIGITS)}),
        ("summary", {"percentiles": (DIGITS,)}),
    ],
)
def test_absurd_values_are_refused_when_a_step_is_made(operation: str, params: dict[str, Any], tmp_path: Path) -> None:
    name = next(reversed(params))
    with pytest.raises(ArgumentError, match=name) as told:
        Step(operation, **params)
    assert len(str(told.value)) < 400
    if "allowed" not in str(told.value):
        pytest.fail(f"{told.value} does not say what is allowed")


@pytest.mark.parametrize(
    ("operation", "params", "reach"),
    [
        ("median_filter", {"size": 3001}, "1,500"),
        ("median_filter", {"size": (3, 3001)}, "1,500"),
        ("gaussian_filter", {"sigma": 1.0, "truncate": 1e9}, "1,000,000,000"),
        ("gaussian_filter", {"sigma": 60_000.0}, "240,000"),
    ],
)
def test_filters_that_reach_far_beyond_the_image_are_refused(
    operation: str, params: dict[str, Any], reach: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArgumentError, match=rf"{operation} would look at {reach} pixels .*--allow-large"):
        getattr(ctfast, operation)(IMAGE, **params)
    steps = [Step("window", center=0, width=10), Step(operation, **params)]
    with pytest.raises(ArgumentError, match="would look at") as told:
        Pipeline(steps)(IMAGE)
    assert "in step 2" in told.value.__notes__[0]
    with pytest.raises(ArgumentError, match="would look at"):
        getattr(ctfast, operation)(IMAGE, **params, backend="reference")


def test_large_filters_may_be_allowed_and_fit_large_images(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ctfast.median_filter(np.zeros((2, 1600), np.int16), (1, 3001)) == 0).all()
    monkeypatch.setenv("CTFAST_ALLOW_LARGE", "1")
    assert (ctfast.median_filter(IMAGE[:8, :8], 2051) == 0).all()


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_pipeline_files_of_all_sorts_end_in_our_errors(ending: str, tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    size = {"json": '{"steps": [{"operation": "median_filter", "size": %s}]}', "toml": "[[steps]]\noperation = "
            "'median_filter'\nsize = %s\n"}[ending]  # fmt: skip
    numbers = ["9" * 4001, "9" * 5001, "1e999", "-1", "[" * 900 + "]" * 900]
    texts = [deep, f"steps = {deep}", *(size % n for n in numbers), "\0", "steps = 3", '{"steps": 3}', '{"steps": [3]}',
             "[[steps]]\n[steps.operation]\na = 1\n", json.dumps({"steps": [{"operation": ["a"]}]})]  # fmt: skip
    for text in texts:
        (tmp_path / f"p.{ending}").write_text(text)
        with pytest.raises(ArgumentError, match="pipeline file") as told:
            Pipeline.from_file(tmp_path / f"p.{ending}")
        assert len(str(told.value)) < 1000
    (tmp_path / f"p.{ending}").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ArgumentError, match="pipeline file"):
        Pipeline.from_file(tmp_path / f"p.{ending}")
