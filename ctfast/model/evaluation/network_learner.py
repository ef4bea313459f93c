"""A network as something that can be cross-validated: train by a recipe, predict what was held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.model.data.dataset import Dataset
from ctfast.model.data.split import split_by_group
from ctfast.model.evaluation.baselines import Predict

if TYPE_CHECKING:
    from ctfast.model import ModelConfig, TrainConfig

_INNER_FRACTION: Final = 0.2


@dataclass(frozen=True)
class NetworkLearner:
    """``fit`` with a recipe.

    With early stopping (``config.patience``) a fifth of the training patients is held out of each fold to stop by; the
    test fold never takes part in that choice. Without, all training slices are trained on for all epochs.

    Attributes:
        config: How to train; its seed is replaced by that of the cross-validation.
        model_config: Which network.
        fit: Trains; ``ctfast.model.fit`` unless told otherwise.
        name: As tables call it.
    """

    config: TrainConfig
    model_config: ModelConfig
    fit: Callable[..., Any] | None = None
    name: str = "network"

    def learn(self, training: Dataset, seed: int) -> Predict:
        """See ``Learner``."""
        import ctfast.model

        fit = self.fit or ctfast.model.fit
        config = replace(self.config, seed=seed)
        inner = split_by_group(training, _INNER_FRACTION, seed)[1] if config.patience else None
        result = fit(training, config=config, model_config=self.model_config, validation=inner)

        def predict(dataset: Dataset) -> NDArray[np.float64]:
            return result.trained.predict_proba(dataset.images).astype(np.float64)

        return predict
