"""What the workers of a run need to know."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from ctfast import backend as backends
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
        """
        backend = backends.requested(options.backend)
        backend = backends.select(backend if backend is not None else recommended_backend())
        shared: dict[str, Any] = {field.name: getattr(options, field.name) for field in fields(FileOptions)}
        return cls(pipeline, backend, **{**shared, "format": written(options.format).word})

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal for two runs to share an output folder."""
        words = {name: str(getattr(self, name)) for name in _IDENTITY}
        return {"pipeline": self.pipeline.hash, **words, "series": "yes" if self.series else "no"}
