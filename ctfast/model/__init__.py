"""The CNN: model, data, training, evaluation and prediction in JAX and Flax.

>>> from ctfast.model import TrainConfig, fit, load_dataset, split_by_group
>>> dataset = load_dataset("siim")
>>> training, validation = split_by_group(dataset)
>>> result = fit(dataset.take(training), validation=dataset.take(validation), config=TrainConfig(), run_dir="run")

``import ctfast.model`` is lazy: JAX is imported by the first thing that needs it. Not a medical device.
"""

from ctfast.dispatch.lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)

EXTRA = ("flax", "h5py", "jax", "jaxlib", "onnx", "optax", "orbax", "sklearn")
"""Modules that the extra ``nn`` installs."""
