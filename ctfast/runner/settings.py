"""What the workers of a run need to know."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from ctfast import backend as backends
from ctfast.errors import UsageError
from ctfast.files.formats import written
from ctfast.pipeline import Pipeline
from ctfast.runner.options import FileOptions, RunOptions
from ctfast.tools.benchmark import recommended_backend

_IDENTITY: Final = ("format", "compression", "units", "axes", "offset", "dataset", "orient")


@dataclass(frozen=True)
class Settings(FileOptions):
    """Everything that decides what an output looks like; ``out`` must exist where it is given."""

    pipeline: Pipeline
    backend: str
    max_bytes: int = 2 << 30
    out: str = ""

    @classmethod
    def of(cls, pipeline: Pipeline, options: RunOptions) -> Settings:
        """For this machine: with a backend that is usable.

        Raises:
            BackendUnavailableError: the backend that was asked for cannot be used.
            UsageError: a GPU was asked for, and a step has a parameter that GPUs don't compute.
        """
        backend = backends.requested(options.backend)
        refused = next((step for step in pipeline.steps if not step.spec.gpu), None)
        if refused is not None and backend == "gpu":
            raise UsageError(f"backend='gpu': {refused.operation} is computed on the CPU; choose backend='cpu'")
        if refused is not None and backend is None:
            backend = "cpu"
        backend = backends.select(backend if backend is not None else recommended_backend())
        shared: dict[str, Any] = {field.name: getattr(options, field.name) for field in fields(FileOptions)}
        return cls(pipeline, backend, **{**shared, "format": written(options.format).word})

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal for two runs to share an output folder."""
        words = {name: str(getattr(self, name)) for name in _IDENTITY}
        return {"pipeline": self.pipeline.hash, **words, "series": "yes" if self.series else "no"}
