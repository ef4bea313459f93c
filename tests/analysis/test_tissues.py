"""The tissue table and ``label_tissue``."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import ctfast
from ctfast.analysis import CONTRAST_BAND, TISSUES
from ctfast.analysis.scan.tissues import palette
from ctfast.errors import ArgumentError
from ctkernels.contract import IMAGE_DTYPES, NO_LABEL, TISSUE_EDGES


def test_the_table_names_every_label_once_with_its_source() -> None:
    assert [t.label for t in TISSUES] == list(range(len(TISSUE_EDGES) + 1))
    assert all(a.high == b.low for a, b in pairwise(TISSUES))
    assert tuple(t.low for t in TISSUES[1:]) == TISSUE_EDGES
    assert len({t.color for t in TISSUES}) == len({t.key for t in TISSUES}) == len(TISSUES)
    assert all(t.published and t.source for t in TISSUES)
    contrast = next(t for t in TISSUES if t.key == "contrast")
    assert (contrast.low, contrast.high) == CONTRAST_BAND


@pytest.mark.parametrize(
    ("hu", "key"),
    [(-2000, "below_scale"), (-1000, "air"), (-850, "lung"), (-100, "fat"), (0, "water"), (40, "soft"),
     (200, "contrast"), (500, "spongy"), (1000, "compact"), (3071, "metal")],
)  # fmt: skip
def test_textbook_values_get_their_tissue(hu: int, key: str) -> None:
    label = ctfast.label_tissue(np.full((1, 1), hu, np.int16))[0, 0]
    assert TISSUES[label].key == key


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_labels_at_every_edge_are_those_of_digitize(dtype: str) -> None:
    edges = np.array([*TISSUE_EDGES, 0.1, 254.5, 32767.0, 40000.0])
    edges.sort()
    around = np.concatenate([edges + d for d in (-1, -0.5, 0, 0.5, 1)])
    limits = (np.iinfo if np.dtype(dtype).kind in "iu" else np.finfo)(dtype)
    pixels = np.clip(around, limits.min, limits.max).astype(dtype)[np.newaxis]
    for chosen in (edges, edges[:3], edges[-1:]):
        labels = ctfast.label_tissue(pixels, edges=chosen)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, np.digitize(pixels.astype(np.float64), chosen))


def test_edges_between_two_float32_numbers() -> None:
    edge = 0.1  # float32's nearest number is larger, 16777217's smaller
    below, above = np.nextafter(np.float32(0.1), np.float32(0)), np.float32(0.1)
    np.testing.assert_array_equal(ctfast.label_tissue(np.array([[below, above]]), edges=(edge,)), [[0, 1]])
    pixels = np.array([[16777216, 16777218]], np.float32)
    np.testing.assert_array_equal(ctfast.label_tissue(pixels, edges=(16777217.0,)), [[0, 1]])


def test_nan_has_no_label_and_infinities_are_at_the_ends() -> None:
    labels = ctfast.label_tissue(np.array([[np.nan, -np.inf, np.inf]]))
    np.testing.assert_array_equal(labels, [[NO_LABEL, 0, len(TISSUE_EDGES)]])


@pytest.mark.parametrize("edges", [(), (1, 1), (2, 1), (np.nan,), (np.inf,), "abc", None, range(255)])
def test_edges_that_are_refused(edges: object) -> None:
    with pytest.raises(ArgumentError, match=r"edges=.*1 to 254 finite numbers"):
        ctfast.label_tissue(np.zeros((2, 2), np.int16), edges=edges)  # type: ignore[arg-type]


def test_it_is_a_step_of_a_pipeline() -> None:
    pipeline = ctfast.Pipeline([{"operation": "median_filter"}, {"operation": "label_tissue"}])
    assert pipeline.expects_hu
    assert pipeline(np.full((4, 4), 40, np.int16)).tolist() == [[6] * 4] * 4
    again = ctfast.Pipeline.from_dict(pipeline.to_dict())
    assert again.hash == pipeline.hash


def test_every_label_has_a_colour_of_its_own() -> None:
    colors = palette()
    assert colors.shape == (256, 3)
    assert len({tuple(c) for c in colors[: len(TISSUES)]}) == len(TISSUES)
