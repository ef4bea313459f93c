"""What a run's worker processes have loaded before they are forked: compiled code, once for all of them.

The server that forks them imports this module, which then finds the run's pipeline in its environment. Loading kernels
from the disk takes a process half a second of its core; where nothing is compiled yet, they are compiled once.
"""

from __future__ import annotations

import gc
import json
import os
from contextlib import suppress
from typing import Final

from ctfast.batch.processes import Ahead
from ctfast.pipeline import Pipeline
from ctfast.runner.settings import Settings
from ctfast.runner.several import rehearse
from ctfast.threads import get_num_threads, set_num_threads

_VARIABLE: Final = "CTFAST_AHEAD"


def ahead_of(settings: Settings, *, quickly: bool) -> Ahead | None:
    """For worker processes of a run on the CPU."""
    if settings.backend != "cpu":
        return None
    return Ahead(__name__, _VARIABLE, json.dumps([settings.pipeline.to_dict(), quickly]))


def _prepare(text: str) -> None:
    with suppress(Exception):  # a worker says what is wrong, where somebody hears it
        threads = get_num_threads()
        set_num_threads(1)  # a thread would not be there in what is forked
        pipeline, quickly = json.loads(text)
        rehearse(Settings(Pipeline.from_dict(pipeline), "cpu"), quickly=quickly)
        set_num_threads(threads)
    gc.freeze()  # what is loaded stays: workers need not look through it, which would copy its memory


if text := os.environ.pop(_VARIABLE, None):
    _prepare(text)
