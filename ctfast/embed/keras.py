"""A pipeline as a layer of Keras: part of the model, in ``predict``, saved with it.

>>> from ctfast.embed.keras import Preprocessing
>>> model = keras.Sequential([keras.Input((512, 512, 1), dtype="int16"), Preprocessing("mediastinum"), network])
>>> model.predict(slices)

Images come as ``(N, H, W, 1)`` or ``(N, H, W)``, in HU where the pipeline expects them. With JAX as Keras' backend the
kernels are part of the compiled program, on a CPU; with torch and TensorFlow they are called on the tensors' memory.
The layer has no weights. Gradients pass through it where ``ctfast.embed.jax_calls`` and ``torch_ops`` say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import numpy as np

from ctfast.dispatch.chain import check_chain
from ctfast.errors import ArgumentError
from ctfast.pipeline import Pipeline
from ctfast.presets import preset


@keras.saving.register_keras_serializable("ctfast")
class Preprocessing(keras.layers.Layer):  # type: ignore[misc]
    """Runs a pipeline on each image of a batch.

    Args:
        pipeline: a ``Pipeline``, what ``Pipeline.to_dict`` gives, or the name of a preset, which is taken
            without its statistics. Those of a pipeline (``histogram``, ``summary``) are refused: they make no image.
        axes: which axes of the input, without that of the batch counted from the back, are rows and columns (and
            planes), where they are not the last (or those before a channel of one): see ``Pipeline.run``.
        options: those of every layer, such as ``name``.

    Raises:
        ArgumentError: a pipeline with statistics, or none.
    """

    def __init__(
        self, pipeline: Pipeline | Mapping[str, Any] | str, axes: tuple[int, ...] | None = None, **options: Any
    ) -> None:
        super().__init__(**{"trainable": False, "autocast": False, **options})
        if isinstance(pipeline, str):
            pipeline = Pipeline(step for step in preset(pipeline).steps if not step.is_statistic)
        elif isinstance(pipeline, Mapping):
            pipeline = Pipeline.from_dict(pipeline)
        if not isinstance(pipeline, Pipeline):
            raise ArgumentError(
                f"a {type(pipeline).__name__} came in: a Pipeline, its to_dict(), or the name of a preset is allowed"
            )
        statistics = [step.operation for step in pipeline.steps if step.is_statistic]
        if statistics:
            raise ArgumentError(
                f"{', '.join(statistics)} in the pipeline of a layer, whose result is an image: leave the step away, "
                "Pipeline(step for step in pipeline.steps if not step.is_statistic)"
            )
        self.pipeline = pipeline
        self.axes = None if axes is None else tuple(axes)

    def call(self, inputs: Any) -> Any:
        """The image after the last step."""
        if keras.backend.backend() != "tensorflow":
            return self.pipeline(inputs, axes=self.axes)
        from ctfast.embed.tf_data import traced

        return traced(partial(self.pipeline, axes=self.axes), self.compute_output_spec(inputs).dtype)(inputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        """The shape of the input, and the dtype of the last step."""
        dtype = np.dtype(keras.backend.standardize_dtype(inputs.dtype))
        return keras.KerasTensor(tuple(inputs.shape), check_chain(dtype, self.pipeline.steps, "cpu").dtype.name)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """What ``from_config`` makes the layer of again."""
        return {**super().get_config(), "pipeline": self.pipeline.to_dict(), "axes": self.axes}
