"""``CTClassifier``: the network behind scikit-learn's interface, for pipelines, grids and comparisons.

>>> from ctfast import CTClassifier
>>> classifier = CTClassifier(epochs=10, random_state=0).fit(slices, labels)
>>> classifier.predict_proba(others)

Not a medical device.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctfast.errors import ArgumentError, ShapeError, missing_extra
from ctfast.files.image import PIXEL_DTYPES
from ctfast.model.config import Augmentation, ModelConfig, TrainConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.decoding import hu_shares
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.window_choice import choose_window
from ctfast.model.recipe import Recipe
from ctfast.model.training.members import fit_members, inner_folds

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise missing_extra("CTClassifier needs scikit-learn", "nn") from error

if TYPE_CHECKING:
    from sklearn.utils import Tags

_LIKE_CHANNELS: Final = 4
_VALIDATION: Final = 0.2
_LEAST_WIDTH: Final = 1e-6
"""Width of the window where all training values are equal."""


class CTClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The convolutional network ``Sequential4`` as a scikit-learn classifier.

    What is not given follows the recipe of ``ctfast train`` (``ctfast.model.recipe``), by the number of images.

    Args:
        image_size: Rows and columns that every image is resized to (area-averaged); default: by the recipe.
        value_range: Values that become the network's 0 and 1; the default, ``"auto"``, is the HU window in which the
            classes of the training images differ (``choose_window``). None: the least and the greatest value of the
            training images.
        image_shape: ``(H, W)`` of images that come flattened, one a row of ``X``; default: the most square shape with
            as many pixels.
        widths: Channels of each block of convolution and pooling.
        dense: Units of the hidden layer.
        members: Networks, an ensemble with more than one; each chooses its epoch by another part of the images.
            Default: by the recipe.
        epochs: Passes over the training images, at most; default: by the recipe.
        batch_size: Images in a step.
        learning_rate: Of Adam, at its highest; default: by the recipe.
        patience: Stop after so many epochs without a lower loss of the images that choose; 0 for never, which trains
            a single network on all images. Default: by the recipe.
        augment: Random changes of the training images, in the words of ``ctfast train --augment``: ``none``, ``mild``,
            or such as ``shift=0.06,rotation=10``; True is ``mild``, False ``none``. Default: by the recipe.
        random_state: Seed (or a NumPy generator of the old kind) of initialisation, order and augmentation.

    Attributes:
        classes_: Labels, sorted.
        n_features_in_: Pixels of an image.
        history_: One dictionary per epoch (and network), as ``ctfast.model.fit`` gives them.
        n_iter_: Epochs that were run, by the network that ran most.
        window_: ``(low, high)``: the values that became 0 and 1.

    ``X`` holds gray images ``(N, H, W)`` or ``(N, H, W, 1)``, or flattened ``(N, H * W)``, in HU unless ``value_range``
    says otherwise.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int] | None = None,
        value_range: tuple[float, float] | str | None = "auto",
        image_shape: tuple[int, int] | None = None,
        widths: tuple[int, ...] = ModelConfig.widths,
        dense: int = ModelConfig.dense,
        members: int | None = None,
        epochs: int | None = None,
        batch_size: int = TrainConfig.batch_size,
        learning_rate: float | None = None,
        patience: int | None = None,
        augment: str | bool | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.image_size = image_size
        self.value_range = value_range
        self.image_shape = image_shape
        self.widths = widths
        self.dense = dense
        self.members = members
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.augment = augment
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train from the start.

        Args:
            X: ``(N, H, W)``, ``(N, H, W, 1)`` or ``(N, H * W)``.
            y: ``(N,)`` labels of two or more classes.

        Raises:
            ValueError: For what is no such data, NaN or infinite values among it.
        """
        X = _gray(X)
        data, labels = validate_data(self, X, y, ensure_min_samples=2, **_input_rules(X))
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"only one class, {str(self.classes_[0])!r}: two or more classes are needed")
        images = self._as_images(data)
        seed = int(check_random_state(self.random_state).randint(1 << 31))
        recipe = Recipe.for_set(len(images), side=None if self.image_size is None else self.image_size[0])
        self.window_ = self._window(images, numbers)
        size = (recipe.side, recipe.side) if self.image_size is None else (self.image_size[0], self.image_size[1])
        preprocessing = Preprocessing.of_window(*self.window_, image_size=size, least_width=_LEAST_WIDTH)
        # Equal images are told by the wide window: in a narrow one, slices of different patients may look alike.
        wide = Preprocessing(image_size=size) if isinstance(self.value_range, str) else preprocessing
        names = [str(c) for c in self.classes_]
        dataset = Dataset.from_arrays(images, numbers, classes=names, preprocessing=wide).prepared_by(preprocessing)
        self._train(dataset, recipe, seed)
        self._fitted_shape = images.shape[1:]
        self.n_features_in_ = math.prod(data.shape[1:])
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Probabilities ``(N, classes)``, columns in the order of ``classes_``."""
        check_is_fitted(self)
        X = _gray(X)
        data = validate_data(self, X, reset=False, **_input_rules(X))
        images = self._as_images(data)
        if images.shape[1:] != self._fitted_shape:
            rows, columns = self._fitted_shape
            raise ValueError(f"images of {images.shape[1]} x {images.shape[2]} pixels; fit saw {rows} x {columns}")
        return self._trained.predict_proba(self._trained.preprocessing(images))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each image."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def _augmentation(self) -> Augmentation | None:
        if self.augment is None or isinstance(self.augment, str):
            return None if self.augment is None else Augmentation.parse(self.augment)
        return Augmentation.mild() if self.augment else Augmentation()

    def _train(self, dataset: Dataset, recipe: Recipe, seed: int) -> None:
        model_config = ModelConfig(
            image_size=dataset.preprocessing.image_size,
            in_channels=1,
            widths=tuple(self.widths),
            dense=self.dense,
            classes=len(self.classes_),
        )
        given = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "patience": self.patience,
            "augmentation": self._augmentation(),
            "seed": seed,
        }
        config = recipe.trained_as({name: value for name, value in given.items() if value is not None})
        folds = [np.empty(0, np.intp)]
        fewest = min(len(np.unique(dataset.groups[dataset.labels == k])) for k in range(len(dataset.classes)))
        if config.patience and fewest > 1:
            folds = inner_folds(dataset, self.members or recipe.members, _VALIDATION, seed)
        elif config.patience:  # a class with a single image has none to choose by
            config = replace(config, patience=0)
        result = fit_members(dataset, folds, config=config, model_config=model_config)
        self.history_ = result.history
        self.n_iter_ = max(len(member.history) for member in result.members or (result,))
        self._trained = result.trained

    def _window(self, images: NDArray[Any], labels: NDArray[Any]) -> tuple[float, float]:
        if self.value_range is None:
            return float(images.min()), float(images.max())
        if isinstance(self.value_range, str):
            if self.value_range != "auto":
                raise ArgumentError(f"value_range={self.value_range!r}: 'auto', (low, high) or None is allowed")
            window = choose_window(hu_shares(images), labels)
            return window.low, window.high
        return float(self.value_range[0]), float(self.value_range[1])

    def _as_images(self, data: NDArray[Any]) -> NDArray[Any]:
        """``(N, H, W)`` in a dtype that the kernels take."""
        if data.ndim == 2:
            data = data.reshape(len(data), *self._shape_of_rows(data.shape[1]))
        data = data if str(data.dtype) in PIXEL_DTYPES else data.astype(np.float64)
        # Up to four columns would be taken for channels; repeated ones are averaged to the same values.
        columns = data.shape[2]
        return data if columns > _LIKE_CHANNELS else data.repeat(_LIKE_CHANNELS // columns + 1, axis=2)

    def _shape_of_rows(self, pixels: int) -> tuple[int, int]:
        if self.image_shape is None:
            rows = next(k for k in range(math.isqrt(pixels), 0, -1) if pixels % k == 0)
            return rows, pixels // rows
        rows, columns = self.image_shape
        if rows * columns != pixels:
            raise ValueError(f"image_shape={self.image_shape!r}, but X has {pixels} columns")
        return rows, columns

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


def _gray(X: Any) -> Any:
    """``X`` without the channel axis of gray images ``(N, H, W, 1)``."""
    if isinstance(X, np.ma.MaskedArray):
        raise ArgumentError("a masked array came in and its mask would be lost: fill it first, x.filled(value)")
    if getattr(X, "ndim", 0) > 3 or (isinstance(X, list | tuple) and np.ndim(X) > 3):
        shape = np.shape(X)
        if len(shape) != 4 or shape[-1] != 1:
            raise ShapeError(f"X of shape {shape}: (N, H, W), (N, H, W, 1) or (N, H * W) is needed")
        return np.asarray(X)[..., 0]
    return X


def _input_rules(X: Any) -> dict[str, Any]:
    """What scikit-learn shall check: images as they are, everything else as a table."""
    axes = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    return {"dtype": "numeric", "allow_nd": True, "ensure_2d": axes != 3}
