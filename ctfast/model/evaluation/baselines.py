"""What a network must beat: logistic regression on shares of pixels by HU. A second to train, two numbers to explain.

Contrast agent shows as pixels of 130 to 400 HU, so that their share alone tells most contrast slices apart. A network
that is no better than this has learnt no more than this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import missing_extra
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.decoding import HU_BINS, HU_RANGE
from ctfast.model.data.preprocessing import HIGHEST

CONTRAST_BAND: Final = (130, 400)
_RANGE: Final = (-200, 1000)
"""HU that the baselines look at: from below fat to dense bone."""
_BIN_HU: Final = (HU_RANGE[1] - HU_RANGE[0]) // HU_BINS
_BINS: Final = (_RANGE[1] - _RANGE[0]) // _BIN_HU
_PENALTY: Final = 1.0
_COARSE: Final = 5
"""Bins of 10 HU that are added up: 24 features of 50 HU for some tens of slices."""

Predict = Callable[[Dataset], NDArray[np.float64]]


class Learner(Protocol):
    """Something that can be cross-validated."""

    @property
    def name(self) -> str:
        """As tables call it."""

    def learn(self, training: Dataset, seed: int) -> Predict:
        """Train on all slices of ``training`` (all labelled) and return what gives ``(N, classes)`` probabilities."""


@dataclass(frozen=True)
class BandBaseline:
    """Logistic regression on the share of pixels in 130 to 400 HU."""

    name: str = "130..400 HU share, logistic"

    def learn(self, training: Dataset, seed: int) -> Predict:
        """See ``Learner``; nothing is random."""
        return _logistic(training, band_share)


@dataclass(frozen=True)
class HistogramBaseline:
    """Logistic regression on the histogram of HU -200 to 1000 in bins of 50 HU."""

    name: str = "HU histogram, logistic"

    def learn(self, training: Dataset, seed: int) -> Predict:
        """See ``Learner``; nothing is random."""
        return _logistic(training, coarse_histogram)


def band_share(dataset: Dataset) -> NDArray[np.float64]:
    """``(N, 1)``: share of pixels from 130 to below 400 HU."""
    first, last = ((edge - _RANGE[0]) // _BIN_HU for edge in CONTRAST_BAND)
    return _shares(dataset)[:, first:last].sum(axis=1, keepdims=True)


def coarse_histogram(dataset: Dataset) -> NDArray[np.float64]:
    """``(N, 24)``: square roots of shares by 50 HU, which evens out bins that differ a hundredfold."""
    shares = _shares(dataset)
    return np.sqrt(shares.reshape(len(shares), -1, _COARSE).sum(axis=2))


def _shares(dataset: Dataset) -> NDArray[np.float64]:
    """Shares by HU; where HU are not known, of the network's input in as many bins."""
    if dataset.hu_shares is not None:
        first = (_RANGE[0] - HU_RANGE[0]) // _BIN_HU
        return dataset.hu_shares[:, first : first + _BINS].astype(np.float64)
    flat = dataset.images.reshape(len(dataset), -1)
    counts = [np.bincount(image.astype(np.int64) * _BINS // (HIGHEST + 1), minlength=_BINS) for image in flat]
    return np.array(counts, np.float64) / flat.shape[1]


def _logistic(training: Dataset, features: Callable[[Dataset], NDArray[np.float64]]) -> Predict:
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise missing_extra("the baseline needs scikit-learn", "nn") from error
    model: Any = make_pipeline(StandardScaler(), LogisticRegression(C=1 / _PENALTY, max_iter=1000))
    model.fit(features(training), training.labels)

    def predict(dataset: Dataset) -> NDArray[np.float64]:
        result = np.zeros((len(dataset), len(dataset.classes)))
        result[:, model.classes_] = model.predict_proba(features(dataset))
        return result

    return predict
