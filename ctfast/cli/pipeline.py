"""The options ``--preset``, ``--pipeline`` and ``--step``, which several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctfast.pipeline import Pipeline


def chosen_pipeline(preset: str | None, file: Path | None, steps: list[str] | None) -> Pipeline:
    """The pipeline that exactly one of the three options says."""
    from ctfast.errors import UsageError
    from ctfast.pipeline import Pipeline, parse_step
    from ctfast.presets import PRESETS
    from ctfast.presets import preset as find

    if sum(bool(given) for given in (preset, file, steps)) != 1:
        raise UsageError(
            f"say what to do: --preset ({', '.join(PRESETS)}), --pipeline FILE, or --step 'median_filter size=3'"
        )
    if preset:
        return find(preset)
    if file:
        return Pipeline.from_file(file)
    return Pipeline([parse_step(text) for text in steps or []])
