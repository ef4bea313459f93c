"""The options ``--preset``, ``--pipeline`` and ``--step``, which several commands have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ctfast.errors import CTFastError, UsageError

if TYPE_CHECKING:
    from ctfast.pipeline import Pipeline


def chosen_pipeline(preset: str | None, file: Path | None, steps: list[str] | None) -> Pipeline:
    """The pipeline that exactly one of the three options names.

    Raises:
        UsageError: none of them or several are given, or the pipeline is not valid.
    """
    from ctfast.pipeline import Pipeline, parse_step
    from ctfast.presets import PRESETS
    from ctfast.presets import preset as ready

    if sum(bool(given) for given in (preset, file, steps)) != 1:
        raise UsageError(
            f"--preset ({', '.join(PRESETS)}), --pipeline FILE or --step 'median_filter size=3': exactly one is needed"
        )
    if preset:
        return ready(preset)
    if file:
        with _errors_of(f"--pipeline {file}"):
            return Pipeline.from_file(file)
    parsed = []
    for text in steps or []:
        with _errors_of(f"--step {text!r}"):
            parsed.append(parse_step(text))
    return Pipeline(parsed)


@contextmanager
def _errors_of(option: str) -> Iterator[None]:
    """The same parameter names mean something else as options of the command: say whose they are."""
    try:
        yield
    except CTFastError as error:
        raise UsageError(f"{option}: {error}") from error
