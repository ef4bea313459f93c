"""ctfast: normalise, denoise, enhance and bin CT images at the speed of the machine.

>>> import ctfast
>>> smooth = ctfast.median_filter(image, 5)
>>> bright = ctfast.window(smooth, center=40, width=400, dtype="uint8")

``import ctfast`` is lazy: neither Numba nor CuPy nor JAX is imported before something needs them.
Not a medical device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ctfast import analysis, errors, files, model, runner
    from ctfast.backend import BackendStatus, backends, use_backend
    from ctfast.dispatch.jax_arrays import to_jax
    from ctfast.model.classifier import CTClassifier
    from ctfast.ops import (
        clahe,
        gaussian_filter,
        histogram,
        label_tissue,
        median_filter,
        normalize,
        rescale,
        standardize,
        summary,
        window,
    )
    from ctfast.pipeline import Pipeline, Step
    from ctfast.presets import PRESETS, preset
    from ctfast.results import Histogram, Summary
    from ctfast.threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

_HOME: Final = {
    "BackendStatus": "backend",
    "backends": "backend",
    "use_backend": "backend",
    "CTClassifier": "model.classifier",
    "to_jax": "dispatch.jax_arrays",
    "clahe": "ops",
    "gaussian_filter": "ops",
    "histogram": "ops",
    "label_tissue": "ops",
    "median_filter": "ops",
    "normalize": "ops",
    "rescale": "ops",
    "standardize": "ops",
    "summary": "ops",
    "window": "ops",
    "Pipeline": "pipeline",
    "Step": "pipeline",
    "PRESETS": "presets",
    "preset": "presets",
    "Histogram": "results",
    "Summary": "results",
    "get_num_threads": "threads",
    "set_num_threads": "threads",
}
_MODULES: Final = ("analysis", "errors", "files", "model", "runner")

__all__ = [
    "PRESETS",
    "BackendStatus",
    "CTClassifier",
    "Histogram",
    "Pipeline",
    "Step",
    "Summary",
    "__version__",
    "analysis",
    "backends",
    "clahe",
    "errors",
    "files",
    "gaussian_filter",
    "get_num_threads",
    "histogram",
    "label_tissue",
    "median_filter",
    "model",
    "normalize",
    "preset",
    "rescale",
    "runner",
    "set_num_threads",
    "standardize",
    "summary",
    "to_jax",
    "use_backend",
    "window",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"ctfast.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"ctfast.{name}")
    raise AttributeError(f"module 'ctfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
