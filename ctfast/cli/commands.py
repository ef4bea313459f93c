"""Which commands there are. One is imported when it is asked for, so that none waits for the options of others."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer

from ctfast.cli.help import Command


class Entry(NamedTuple):
    """A command's line in the list of all: the function of its name in ``module`` says the same first, and more."""

    panel: str
    module: str
    text: str


COMMANDS: Final = {
    "run": Entry(
        "Images",
        "run",
        "Process a folder of CT slices: one output an input, a manifest, histograms and summaries.",
    ),
    "merge": Entry(
        "Images",
        "merge",
        "Put the records of all shards of a run (--shard I/N) together, and name those that are missing.",
    ),
    "report": Entry(
        "Images",
        "report",
        "Show what is in CT slices: intensities, tissues, outliers and flags, as one HTML file that works offline.",
    ),
    "presets": Entry(
        "Images",
        "tools",
        "List the ready pipelines, or show one: what it is for, its limits, its steps and where its numbers come from.",
    ),
    "train": Entry("Network", "model", "Train on labelled slices; with no options, as the number of slices asks for."),
    "evaluate": Entry(
        "Network",
        "model",
        "Evaluate a run on slices that it has not seen, or with --folds cross-validate its settings.",
    ),
    "predict": Entry("Network", "model", "Predict the class of every slice; the preprocessing is the run's own."),
    "export": Entry(
        "Network", "model", "Write a run's network for other programs: as jax.export artefact, as ONNX, or for Keras."
    ),
    "doctor": Entry(
        "This machine", "tools", "Show what works on this machine, what does not, why, and the command that fixes it."
    ),
    "warm": Entry(
        "This machine",
        "tools",
        "Compile the CPU kernels of presets and common calls now, so that the first real call is fast.",
    ),
    "bench": Entry("This machine", "tools", "Time this machine's backends side by side and recommend one to `run`."),
    "demo": Entry(
        "To try",
        "tools",
        "Run the main job on pydicom's CT images and a synthetic set, and save a before/after picture.",
    ),
    "synth": Entry(
        "To try", "tools", 'Make CT-like phantom slices in the layout of the Kaggle "CT Medical Images" set.'
    ),
}


class Commands(MutableMapping[str, Any]):
    """Commands by name: those of the table are made when they are asked for, others can be added."""

    def __init__(self, added: MutableMapping[str, Any]) -> None:
        self._made = dict(added)
        self._names = list(dict.fromkeys([*COMMANDS, *added]))

    def __getitem__(self, name: str) -> Any:
        if name not in self._made and name in self._names:
            self._made[name] = _made(name)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._names = list(dict.fromkeys([*self._names, name]))
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        self._names.remove(name)
        self._made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _made(name: str) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=Command)(getattr(import_module(f"ctfast.cli.{COMMANDS[name].module}"), name))
    return typer.main.get_command(alone)
