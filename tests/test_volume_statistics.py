"""``axes=3``: statistics and ranges of volumes are those of all their pixels, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, ShapeError
from ctkernels.testing import assert_exact

VOLUMES = np.random.default_rng(0).normal(0, 300, (2, 5, 9, 12)).astype(np.int16)
TALL = VOLUMES.reshape(2, 45, 12)
BACKENDS = ["cpu", "reference"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_statistics_are_numpys_of_all_pixels(backend: str) -> None:
    got = ctfast.histogram(VOLUMES, 50, axes=3, backend=backend)
    for counts, volume in zip(got.counts, VOLUMES, strict=True):
        assert_exact(counts, np.histogram(volume, got.edges)[0])
    summary = ctfast.summary(VOLUMES, axes=3, backend=backend)
    assert_exact(summary.count, np.array([540, 540]))
    assert_exact(summary.percentiles, np.percentile(TALL, (25, 50, 75), axis=(1, 2)).T.copy())
    one, tall = ctfast.summary(VOLUMES[0], axes=3, backend=backend), ctfast.summary(TALL[0], backend=backend)
    for field in fields(one):
        assert np.array_equal(getattr(one, field.name), getattr(tall, field.name)), field.name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["normalize", "standardize"])
def test_ranges_are_those_of_all_pixels(name: str, backend: str) -> None:
    function = getattr(ctfast, name)
    expected = function(TALL, backend=backend).reshape(VOLUMES.shape)
    assert_exact(function(VOLUMES, axes=3, backend=backend), expected)
    assert_exact(function(VOLUMES[..., None], axes=3, backend=backend), expected[..., None])
    out = np.empty(VOLUMES.shape[::-1], np.float32).T
    assert function(VOLUMES, axes=3, out=out, backend=backend) is out
    assert_exact(out, expected)
    assert not np.array_equal(function(VOLUMES, backend=backend), expected)


def test_a_pipeline_takes_volumes_where_a_step_says_so() -> None:
    pipeline = ctfast.Pipeline(
        [ctfast.Step("gaussian_filter"), ctfast.Step("normalize", axes=3), ctfast.Step("summary", axes=3)]
    )
    assert ctfast.Pipeline.from_dict(pipeline.to_dict()) == pipeline
    result = pipeline.run(VOLUMES)
    assert_exact(result.image, ctfast.normalize(ctfast.gaussian_filter(VOLUMES), axes=3))
    assert_exact(result.summary.count, np.array([540, 540]))
    with pytest.raises(ShapeError, match="axes=3"):
        pipeline.run(VOLUMES[0, 0])


def test_steps_that_say_2_are_those_that_say_nothing() -> None:
    assert ctfast.Step("summary", axes=2) == ctfast.Step("summary")
    assert ctfast.Step("summary", axes=2).to_dict() == {"operation": "summary"}


@pytest.mark.parametrize("name", ["histogram", "summary", "normalize", "standardize"])
def test_an_image_is_no_volume(name: str) -> None:
    function: Any = getattr(ctfast, name)
    with pytest.raises(
        ShapeError, match=r"axes=3 takes volumes \(\.\.\., D, H, W\).*\(9, 12\) came in: leave axes= away"
    ):
        function(VOLUMES[0, 0], axes=3)
    for wrong in (1, 4, "3", (1, 2, 1), (1,)):
        with pytest.raises(ArgumentError, match=r"2 .each image by itself. or 3"):
            function(VOLUMES, axes=wrong)
