"""What a run's worker processes have loaded before they are forked: compiled code, once for all of them.

The server that forks them calls ``prepare`` with the run's pipeline. Loading kernels from the disk takes a process half
a second of its core.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from ctfast.backend import is_compiled, load_compiler
from ctfast.batch.address_space import limits
from ctfast.batch.processes import Ahead, start_server
from ctfast.batch.urls import is_url
from ctfast.batch.workers import use_processes
from ctfast.errors import CTFastError
from ctfast.pipeline import Pipeline
from ctfast.runner.done import process_and_encode
from ctfast.runner.options import RunOptions
from ctfast.runner.planning import RUN_FILE
from ctfast.runner.settings import Settings
from ctfast.runner.several import QUICKLY_FROM, rehearse
from ctfast.threads import get_num_threads, set_num_threads

_MOST: Final = 4096
_loaded = ""
"""For what the server that this process was forked from found all code on the disk."""


def ahead_of(settings: Settings, *, quickly: bool) -> Ahead | None:
    """For worker processes of a run on the CPU."""
    if settings.backend != "cpu":
        return None
    return Ahead(__name__, json.dumps([settings.pipeline.to_dict(), quickly]))


def is_loaded(settings: Settings, *, quickly: bool) -> bool:
    """Whether this process was forked with the code that most slices take."""
    ahead = ahead_of(settings, quickly=quickly)
    return ahead is not None and ahead.text == _loaded


def get_ready(
    inputs: Sequence[str | Path],
    out: str | Path,
    pipeline: Pipeline,
    options: RunOptions,
    *,
    own_program: bool = False,
) -> None:
    """Have this done while the run is planned, where it looks as if many files will be done by processes.

    ``own_program``: whether this process is ours alone, which may be forked then (``start_server``).
    """
    if sys.platform == "win32" or options.cluster or is_url(out) or os.path.exists(os.path.join(out, RUN_FILE)):
        return  # there may be nothing left to do
    with suppress(CTFastError, OSError):  # the plan says it
        settings, workers, files = Settings.of(pipeline, options), options.workers or get_num_threads(), _files(inputs)
        if files >= QUICKLY_FROM and use_processes(files, workers, options.pool, settings.backend):
            start_server(process_and_encode, ahead_of(settings, quickly=True), fork_of_this=own_program)


def _files(inputs: Sequence[str | Path]) -> int:
    """Some thousand are counted, in folders."""
    folders = (str(path) for path in inputs if not is_url(path))
    return sum(1 for _ in islice((name for path in folders for _, _, names in os.walk(path) for name in names), _MOST))


def prepare(text: str) -> None:
    """Load the code that a run takes, in the server."""
    global _loaded
    with suppress(Exception):  # a worker says what is wrong, where somebody hears it
        threads = get_num_threads()
        set_num_threads(1)  # a thread would not be there in what is forked
        pipeline, quickly = json.loads(text)
        do = partial(rehearse, Settings(Pipeline.from_dict(pipeline), "cpu"), quickly=quickly)
        if limits():  # nobody else compiles ahead then
            do()
        elif is_compiled(do):  # what is not there, workers compile, several at a time (``compiling``)
            _loaded = text
        else:
            load_compiler()
        set_num_threads(threads)
    gc.freeze()  # what is loaded stays: workers need not look through it, which would copy its memory
