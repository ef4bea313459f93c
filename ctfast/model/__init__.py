"""The CNN: model, data, training, evaluation and prediction in JAX and Flax.

>>> from ctfast.model import TrainConfig, fit, load_dataset, split_by_group
>>> dataset = load_dataset("siim")
>>> training, validation = split_by_group(dataset)
>>> result = fit(dataset.take(training), validation=dataset.take(validation), config=TrainConfig(), run_dir="run")

``import ctfast.model`` is lazy: JAX is imported by the first thing that needs it. Not a medical device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ctfast.model.config import Augmentation, ModelConfig, TrainConfig
    from ctfast.model.cross_validation import CrossValidation, cross_validate
    from ctfast.model.dataset import Dataset, load_dataset
    from ctfast.model.evaluating import evaluate_run
    from ctfast.model.evaluation import Evaluation, evaluate
    from ctfast.model.explain import class_activation
    from ctfast.model.export import load_jax
    from ctfast.model.exporting import export_run
    from ctfast.model.keras_files import load_keras, save_keras
    from ctfast.model.network_learner import NetworkLearner
    from ctfast.model.predicting import predict_files
    from ctfast.model.preprocessing import Preprocessing
    from ctfast.model.run_folder import TrainedModel, load_run
    from ctfast.model.sequential4 import Sequential4
    from ctfast.model.split import group_folds, split_by_group
    from ctfast.model.training import FitResult, fit

_HOME: Final = {
    "Augmentation": "config",
    "CrossValidation": "cross_validation",
    "Dataset": "dataset",
    "Evaluation": "evaluation",
    "FitResult": "training",
    "ModelConfig": "config",
    "NetworkLearner": "network_learner",
    "Preprocessing": "preprocessing",
    "Sequential4": "sequential4",
    "TrainConfig": "config",
    "TrainedModel": "run_folder",
    "class_activation": "explain",
    "cross_validate": "cross_validation",
    "evaluate": "evaluation",
    "evaluate_run": "evaluating",
    "export_run": "exporting",
    "fit": "training",
    "group_folds": "split",
    "load_dataset": "dataset",
    "load_jax": "export",
    "load_keras": "keras_files",
    "load_run": "run_folder",
    "predict_files": "predicting",
    "save_keras": "keras_files",
    "split_by_group": "split",
}

EXTRA: Final = ("flax", "h5py", "jax", "jaxlib", "onnx", "optax", "orbax", "sklearn")
"""Modules that the extra ``nn`` installs."""

__all__ = [
    "Augmentation",
    "CrossValidation",
    "Dataset",
    "Evaluation",
    "FitResult",
    "ModelConfig",
    "NetworkLearner",
    "Preprocessing",
    "Sequential4",
    "TrainConfig",
    "TrainedModel",
    "class_activation",
    "cross_validate",
    "evaluate",
    "evaluate_run",
    "export_run",
    "fit",
    "group_folds",
    "load_dataset",
    "load_jax",
    "load_keras",
    "load_run",
    "predict_files",
    "save_keras",
    "split_by_group",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ctfast.model' has no attribute {name!r}")
    try:
        home = importlib.import_module(f"ctfast.model.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in (
            "jax",
            "jaxlib",
            "flax",
            "optax",
            "orbax",
            "h5py",
            "sklearn",
            "onnx",
        ):
            raise
        from ctfast.errors import MissingDependencyError

        raise MissingDependencyError(f'ctfast.model.{name} needs {error.name}: pip install "ctfast[nn]"') from error
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
