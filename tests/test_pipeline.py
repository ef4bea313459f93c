"""Pipelines as data: checked, saved, hashed, run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctfast
from ctfast import PRESETS, Pipeline, Step
from ctfast.errors import ArgumentError
from ctfast.pipeline import parse_step

CHAIN = [
    Step("window", center=40, width=400, dtype="uint8"),
    Step("median_filter", size=(3, 5)),
    Step("gaussian_filter", sigma=0.8, mode="mirror"),
    Step("clahe", clip_limit=3, tile_grid=4),
    Step("histogram", value_range=(0, 256)),
    Step("summary", percentiles=(1, 50, 99)),
]


def image() -> np.ndarray:
    return np.random.default_rng(3).normal(0, 300, (2, 40, 50)).astype(np.int16)


def test_running_it_is_running_the_steps() -> None:
    x = image()
    y = ctfast.window(x, center=40, width=400, dtype="uint8")
    y = ctfast.median_filter(y, (3, 5))
    y = ctfast.gaussian_filter(y, 0.8, mode="mirror")
    y = ctfast.clahe(y, clip_limit=3, tile_grid=4)
    result = Pipeline(CHAIN).run(x)
    np.testing.assert_array_equal(result.image, y)
    assert result.histogram is not None
    assert result.summary is not None
    np.testing.assert_array_equal(result.histogram.counts, ctfast.histogram(y, value_range=(0, 256)).counts)
    assert result.summary.levels == (1.0, 50.0, 99.0)
    np.testing.assert_array_equal(Pipeline(CHAIN)(x), y)


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_files_give_the_same_pipeline(tmp_path: Path, suffix: str) -> None:
    for pipeline in (Pipeline(CHAIN, name="a 'name' \"é\" \\"), *(p.pipeline for p in PRESETS.values())):
        path = tmp_path / f"p.{suffix}"
        path.write_text(getattr(pipeline, f"to_{suffix}")(), encoding="utf-8")
        again = Pipeline.from_file(path)
        assert again == pipeline
        assert (again.hash, again.name) == (pipeline.hash, pipeline.name)


def test_open_ranges_survive_files(tmp_path: Path) -> None:
    pipeline = Pipeline([Step("normalize", value_range=(-1100, None)), Step("standardize", value_range=(None, 5))])
    (tmp_path / "p.toml").write_text(pipeline.to_toml())
    assert Pipeline.from_file(tmp_path / "p.toml") == pipeline


def test_the_hash_is_that_of_the_computation() -> None:
    a = Pipeline([Step("median_filter", size=3)], name="a")
    same = [
        Pipeline([Step("median_filter")]),
        Pipeline([{"operation": "median_filter", "size": [3, 3], "mode": "reflect"}]),
        Pipeline([Step("median_filter", size=(3, 3), cval=0)]),
    ]
    assert {p.hash for p in same} == {a.hash}
    other = [Pipeline([Step("median_filter", size=5)]), Pipeline([Step("median_filter"), Step("median_filter")])]
    assert len({a.hash, *(p.hash for p in other)}) == 3


def test_the_hash_stays_the_same_from_version_to_version() -> None:
    # A change here would make every finished folder of every user look like another pipeline's.
    assert Pipeline(CHAIN).hash == "8200c871fe76dd69"


@given(st.floats(0.1, 20), st.sampled_from([1, 3, 5, 21]), st.sampled_from(["uint8", "float32"]))
def test_any_pipeline_survives_json(sigma: float, size: int, dtype: str) -> None:
    pipeline = Pipeline(
        [
            Step("window", center=sigma, width=400, dtype=dtype),
            Step("gaussian_filter", sigma=sigma),
            Step("median_filter", size=size),
        ]
    )
    assert Pipeline.from_dict(json.loads(pipeline.to_json())).hash == pipeline.hash


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "without steps"),
        ([{"size": 3}], "step 1: 'operation' is missing"),
        ([Step("summary"), {"operation": "blur"}], "step 2: operation='blur': one of rescale"),
        ([{"operation": "median_filter", "size": 0}], "step 1: size=0"),
        (
            [{"operation": "median_filter", "sigma": 4}],
            "no parameter 'sigma': one of size, footprint, mode, cval, origin is allowed",
        ),
        ([{"operation": "window", "center": 4}], "window needs width="),
        ([{"operation": "window", "center": 4, "width": 9, "dtype": "int8"}], "float32, uint8, uint16 are allowed"),
        ([{"operation": "median_filter", "dtype": "uint8"}], "has no dtype="),
        ([Step("summary"), Step("summary")], "room for one summary"),
        ([7], "step 1"),
    ],
)
def test_bad_steps(steps: list[Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Pipeline(steps)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", "steps = [", "can't be read"),
        ("p.json", "[]", "a table with 'steps'"),
        ("p.json", "{}", "found nothing"),
        ("p.json", '{"steps": [], "stesp": 1}', "found steps, stesp"),
        ("p.toml", '[[steps]]\noperation = "clahe"\nnbins = 1', "step 1: nbins=1"),
        ("p.json", "\x00", "can't be read"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ArgumentError, match=message) as error:
        Pipeline.from_file(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="No such file"):
        Pipeline.from_file(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ArgumentError, match="can't be read"):
        Pipeline.from_file(tmp_path / "latin.toml")


def test_errors_name_the_step() -> None:
    with pytest.raises(ctfast.errors.DTypeError) as error:
        Pipeline(CHAIN)(np.zeros((4, 4), np.int64))
    assert "step 1" in error.value.__notes__[0]
    with pytest.raises(ArgumentError) as error2:
        Pipeline([CHAIN[0], Step("clahe", value_range=(0, 300))])(image())
    assert "step 2" in error2.value.__notes__[0]


def test_steps_from_the_command_line() -> None:
    for pair in ("3,5", "(3,5)", "[3, 5]", "( 3 , 5 )", "3, 5"):
        assert parse_step(f"median_filter size={pair} mode=mirror") == Step("median_filter", size=(3, 5), mode="mirror")
    assert parse_step("window center=-600 width=1.5e3 dtype=uint8") == Step(
        "window", center=-600, width=1500, dtype="uint8"
    )
    assert parse_step("normalize value_range=-1100,none") == Step("normalize", value_range=(-1100, None))
    for text, message in [
        ("median_filter 3", "no name=value"),
        ("median_filter size=", "no name=value"),
        ("blur size=3", "operation='blur'"),
        ("median_filter size=0", "size=0"),
        ("median_filter size=three", "size='three'"),
        ("median_filter size=(3,5]", "size="),
    ]:
        with pytest.raises(ArgumentError, match=message):
            parse_step(text)


def test_it_travels_to_other_processes() -> None:
    pipeline = Pipeline(CHAIN)
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline
    assert len({pipeline, Pipeline(CHAIN)}) == 1


def test_presets_name_their_source() -> None:
    assert {"lung", "mediastinum", "bone", "siim-cnn"} <= set(PRESETS)
    for name, preset in PRESETS.items():
        assert preset.name == preset.pipeline.name == name
        assert preset.source
        assert preset.use
        assert preset.limits
        assert preset.pipeline.expects_hu == (name != "denoise")
    with pytest.raises(ArgumentError, match="lung, mediastinum"):
        ctfast.preset("liver2")
    low, high = ctfast.preset("siim-cnn")(np.array([[-200, 1000], [-500, 3071]], np.int16)).T.reshape(2, 2)
    assert (low[0], high[0]) == (0.0, 1.0)


def test_what_a_result_means() -> None:
    assert Pipeline([Step("median_filter"), Step("summary")]).keeps_units
    assert not Pipeline(CHAIN).keeps_units
    assert not Pipeline([Step("median_filter")]).expects_hu


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_a_chain_gives_what_its_steps_give(dtype: str) -> None:
    x = np.clip(np.random.default_rng(5).normal(100, 90, (5, 40, 50)), 0, 255).astype(dtype)
    chains = [
        Pipeline(CHAIN),
        Pipeline(
            [Step("summary"), Step("gaussian_filter", sigma=1), Step("median_filter", size=7), Step("standardize")]
        ),
        Pipeline([Step("normalize", percentiles=(1, 99)), Step("clahe", value_range=(0, 1), nbins=500)]),
        Pipeline([Step("median_filter"), Step("histogram", bins=40), Step("gaussian_filter")]),
        Pipeline([Step("summary"), Step("histogram", value_range=(0, 99))]),
    ]
    for pipeline in chains:
        for image in (x, x[0], x[None], x[:, ::2, ::-1]):
            result = pipeline.run(image)
            expected = image
            for step in pipeline.steps:
                values = dict(step.params) if step.dtype is None else {**step.params, "dtype": step.dtype}
                got = getattr(ctfast, step.operation)(expected, **values)
                if step.operation == "histogram":
                    assert result.histogram is not None
                    np.testing.assert_array_equal(result.histogram.counts, got.counts)
                    np.testing.assert_array_equal(result.histogram.edges, got.edges)
                elif step.operation == "summary":
                    assert result.summary is not None
                    np.testing.assert_array_equal(result.summary.percentiles, got.percentiles)
                    np.testing.assert_array_equal(result.summary.count, got.count)
                else:
                    expected = got
            assert result.image.dtype == expected.dtype
            np.testing.assert_array_equal(result.image, expected)


def test_arrays_of_other_libraries_go_through_a_chain() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    x = image()
    result = Pipeline(CHAIN).run(jax.numpy.asarray(x))
    assert isinstance(result.image, jax.Array)
    assert result.summary is not None
    assert isinstance(result.summary.mean, jax.Array)
    np.testing.assert_array_equal(np.asarray(result.image), Pipeline(CHAIN)(x))
