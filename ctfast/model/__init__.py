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
    from ctfast.model.commands.evaluate import evaluate_run
    from ctfast.model.commands.export import export_run
    from ctfast.model.commands.predict import predict_files
    from ctfast.model.config import Augmentation, ModelConfig, TrainConfig
    from ctfast.model.data.dataset import Dataset, load_dataset
    from ctfast.model.data.preprocessing import Preprocessing
    from ctfast.model.data.split import group_folds, split_by_group
    from ctfast.model.evaluation.cross_validation import CrossValidation, cross_validate
    from ctfast.model.evaluation.network_learner import NetworkLearner
    from ctfast.model.evaluation.scores import Evaluation, evaluate
    from ctfast.model.exchange.jax_export import load_jax
    from ctfast.model.exchange.keras_files import load_keras, save_keras
    from ctfast.model.network.explain import class_activation
    from ctfast.model.network.sequential4 import Sequential4
    from ctfast.model.run_folder import TrainedModel, load_run
    from ctfast.model.training.fit import FitResult, fit

_HOME: Final = {
    "Augmentation": "config",
    "CrossValidation": "evaluation.cross_validation",
    "Dataset": "data.dataset",
    "Evaluation": "evaluation.scores",
    "FitResult": "training.fit",
    "ModelConfig": "config",
    "NetworkLearner": "evaluation.network_learner",
    "Preprocessing": "data.preprocessing",
    "Sequential4": "network.sequential4",
    "TrainConfig": "config",
    "TrainedModel": "run_folder",
    "class_activation": "network.explain",
    "cross_validate": "evaluation.cross_validation",
    "evaluate": "evaluation.scores",
    "evaluate_run": "commands.evaluate",
    "export_run": "commands.export",
    "fit": "training.fit",
    "group_folds": "data.split",
    "load_dataset": "data.dataset",
    "load_jax": "exchange.jax_export",
    "load_keras": "exchange.keras_files",
    "load_run": "run_folder",
    "predict_files": "commands.predict",
    "save_keras": "exchange.keras_files",
    "split_by_group": "data.split",
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
