"""``CTClassifier`` as scikit-learn sees it, and on slices."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from ctfast.model.classifier import CTClassifier
from ctfast.model.config import Augmentation, TrainConfig
from ctfast.model.data.preprocessing import Preprocessing

TABLE = CTClassifier(
    image_size=(10, 10),
    value_range=None,
    widths=(4,),
    dense=8,
    epochs=30,
    batch_size=16,
    learning_rate=0.03,
    patience=0,
    augment="none",
    random_state=0,
)
"""Small, and on the range of its training values: what scikit-learn's checks give are no images in HU."""


@parametrize_with_checks([TABLE])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_s_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    if "check_array_api_input" in str(check):
        return  # CTClassifier takes NumPy arrays only and does not claim more
    check(estimator)


def slices(number: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """HU slices with a bright vessel, or without."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    images = rng.normal(40, 15, (number, 24, 28))
    images[labels == 1, 8:14, 9:16] += 250
    return images.round().astype(np.int16), np.where(labels == 1, "contrast", "native")


def small(**changed: Any) -> CTClassifier:
    words = {"image_size": (12, 14), "widths": (4,), "dense": 8, "epochs": 12, "learning_rate": 0.01, "batch_size": 8}
    words |= {"members": 1, "patience": 0, "augment": "none", "value_range": (-200.0, 1000.0)}
    return CTClassifier(**{**words, "random_state": 0, **changed})


@pytest.fixture(scope="module")
def fitted() -> CTClassifier:
    return small().fit(*slices())


def test_slices_are_told_apart(fitted: CTClassifier) -> None:
    images, labels = slices(10, seed=1)
    assert fitted.score(images, labels) == 1
    probabilities = fitted.predict_proba(images)
    assert probabilities.shape == (10, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert list(fitted.classes_) == ["contrast", "native"]
    np.testing.assert_array_equal(fitted.predict(images), fitted.classes_[probabilities.argmax(axis=1)])
    assert len(fitted.history_) == fitted.n_iter_ == 12
    assert fitted.n_features_in_ == 24 * 28


def test_rows_are_flattened_images(fitted: CTClassifier) -> None:
    images, labels = slices()
    flat = small(image_shape=(24, 28)).fit(images.reshape(len(images), -1), labels)
    others = slices(6, seed=2)[0]
    np.testing.assert_array_equal(flat.predict_proba(others.reshape(6, -1)), fitted.predict_proba(others))
    with pytest.raises(ValueError, match="image_shape"):
        small(image_shape=(5, 5)).fit(images.reshape(len(images), -1), labels)


def test_images_of_another_shape_are_refused(fitted: CTClassifier) -> None:
    with pytest.raises(ValueError, match="24 x 28"):
        fitted.predict(np.zeros((2, 28, 24)))
    with pytest.raises(ValueError, match=r"\(N, H, W\)"):
        fitted.predict(np.zeros((2, 24, 28, 2)))
    with pytest.raises(ValueError, match="mask"):
        fitted.predict(np.ma.masked_array(np.zeros((2, 24, 28))))
    with pytest.raises(NotFittedError):
        small().predict(np.zeros((2, 24, 28)))


def test_a_channel_axis_is_taken_off(fitted: CTClassifier) -> None:
    images = slices()[0][:4]
    np.testing.assert_array_equal(fitted.predict_proba(images[..., None]), fitted.predict_proba(images))


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_narrow_images_are_no_colour(columns: int) -> None:
    """Doubled columns are averaged away again: the network sees what it would see of each image alone."""
    images = np.random.default_rng(0).normal(100, 300, (4, 20, columns))
    classifier = small(epochs=1).fit(images, [0, 1, 0, 1])
    seen = classifier._trained.preprocessing(classifier._as_images(images))
    alone = np.stack([Preprocessing(image_size=(12, 14))(image) for image in images])
    assert np.abs(seen.astype(int) - alone).max() <= 1  # HU of float64, windowed in float32, rounded


def test_a_range_of_none_is_that_of_the_training_images() -> None:
    images, labels = slices()
    classifier = small(epochs=1, value_range=None).fit(images, labels)
    seen = classifier._trained.preprocessing(images)
    low, high = float(images.min()), float(images.max())
    window = classifier._trained.preprocessing.pipeline.steps[0].params
    assert (window["center"], window["width"]) == ((low + high) / 2, high - low)
    assert np.ptp(seen) > 40000, "the whole range of 16 bits, but for what the resize averages"
    classifier = small(epochs=1, value_range=None).fit(np.full((4, 24, 28), 7.0), [0, 1, 0, 1])
    assert np.isfinite(classifier.predict_proba(np.full((2, 24, 28), 7.0))).all()


def test_clone_pickle_and_equal_seeds(fitted: CTClassifier) -> None:
    images = slices(6, seed=3)[0]
    expected = fitted.predict_proba(images)
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(images), expected)
    copied = clone(fitted)
    assert not hasattr(copied, "classes_")
    np.testing.assert_array_equal(copied.fit(*slices()).predict_proba(images), expected)
    other = small(random_state=1, epochs=1).fit(*slices())
    assert np.abs(other.predict_proba(images) - expected).max() > 1e-3


def test_grid_search_and_pipelines() -> None:
    images, labels = slices()
    grid = GridSearchCV(small(epochs=4), {"dense": [4, 8]}, cv=2).fit(images, labels)
    assert grid.best_params_["dense"] in (4, 8)
    assert grid.best_estimator_.predict(images).shape == labels.shape
    pipeline = make_pipeline(FunctionTransformer(lambda x: x + 0), small(epochs=2))
    assert cross_val_predict(pipeline, images, labels, cv=2).shape == labels.shape


def test_one_class_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="only one class, 'native'"):
        small().fit(slices(4)[0], ["native"] * 4)


def test_defaults_are_those_of_the_command_line_and_of_fit() -> None:
    import typer

    from ctfast.cli import app

    command: Any = typer.main.get_command(app)
    typed = {option.name: option.default for option in command.commands["train"].params}
    given = CTClassifier().get_params()
    for name in ("epochs", "batch_size", "learning_rate", "patience", "members", "dense", "augment"):
        assert given[name] == typed[name], name
    assert given["epochs"] is given["learning_rate"] is given["image_size"] is typed["size"] is None, "by the recipe"
    assert given["batch_size"] == TrainConfig().batch_size
    assert ",".join(map(str, given["widths"])) == typed["widths"]
    assert (given["value_range"], typed["window"]) == ("auto", None)


def test_an_ensemble_on_the_window_that_tells_the_classes_apart() -> None:
    images, labels = slices()
    words = {"members": 2, "patience": 5, "value_range": "auto", "image_size": (12, 12), "epochs": 6}
    classifier = small(**words).fit(images, labels)
    low, high = classifier.window_
    assert low <= 250 <= high, "the vessel lies in it"
    assert high - low < 900, "narrower than the default"
    assert len(classifier._trained.members) == 2
    assert {row["member"] for row in classifier.history_} == {1, 2}
    each = np.mean([m.probabilities(_unit(classifier, images)) for m in classifier._trained.members], axis=0)
    np.testing.assert_allclose(classifier.predict_proba(images), each, atol=1e-6)


def _unit(classifier: CTClassifier, images: np.ndarray) -> np.ndarray:
    return classifier._trained.preprocessing(images).astype(np.float32) / 65535


@pytest.mark.parametrize(
    ("augment", "expected"),
    [("none", Augmentation()), ("mild", Augmentation.mild()), (True, Augmentation.mild()), (False, Augmentation())],
)
def test_augment_takes_the_words_of_the_command_line(augment: str | bool, expected: Augmentation) -> None:
    assert CTClassifier(augment=augment)._augmentation() == expected
    assert CTClassifier(augment="shift=0.06")._augmentation().shift == 0.06
