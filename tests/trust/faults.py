"""Faults of the machine and writers at the same time: what a run does, and that the same command ends it well after."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

from ctfast.batch.address_space import MB, Need
from tests.trust.killed import Command, commands, prepare_model, renamed, write_inputs

FAULTS: Final = {
    "files may not grow beyond 4 kB (as on a full disk)": (resource.RLIMIT_FSIZE, 4096),
    "16 open files": (resource.RLIMIT_NOFILE, 16),
    "400 MB of address space": (resource.RLIMIT_AS, 400 << 20),
}


MEMORY: Final = {
    resource.RLIMIT_AS: (60, 100, 130, 180, 250, 305, 317, 329, 335, 345, 400, 450, 500, 550, 600),
    resource.RLIMIT_DATA: (40, 70, 100, 130, 160, 200, 250, 300, 350),
}
"""Megabytes that are too little: of address space, between 60 and 550, libraries fail in many ways."""


def limits_of_memory_end_well(command: Command, work: Path) -> tuple[int, int]:
    """One line and exit code 3 below what is needed, and all done from there on.

    Returns:
        How many limits were refused, and how many were enough.
    """
    least = {resource.RLIMIT_AS: Need.KERNELS.megabytes, resource.RLIMIT_DATA: Need.KERNELS.data_megabytes}
    refused = done = 0
    for what, band in MEMORY.items():
        for megabytes in (*band, least[what] - 1, *range(least[what], least[what] + 200, 50)):
            out = work / f"{command.name}-memory{what}-{megabytes}"
            process = command.start(out, limit=(what, megabytes * MB))
            said = process.communicate(timeout=300)[1]
            assert process.returncode == (3 if megabytes < least[what] else 0), (megabytes, said[-3000:])
            if process.returncode:
                assert len(said.splitlines()) == 1, (megabytes, said[-3000:])
                refused += 1
            else:
                done += 1
    return refused, done


def fault_ends_well(command: Command, work: Path, number: int) -> str:
    """One line and exit code 3 (or no trouble at all), no traceback; the same command then ends as an undisturbed one.

    Returns:
        What it said.
    """
    alone, out = work / f"{command.name}-whole", work / f"{command.name}-fault{number}"
    if not alone.exists():
        assert command.finish(alone)[0] == 0
    process = command.start(out, limit=list(FAULTS.values())[number])
    said = "".join(process.communicate(timeout=300))
    assert "Traceback" not in said, said[-3000:]
    assert process.returncode in (0, 3), (process.returncode, said[-3000:])
    code, said_then = command.finish(out)
    assert code == 0, said_then[-3000:]
    assert command.results(out) == renamed(command.results(alone), alone.name, out.name)
    return said.strip().splitlines()[-1] if process.returncode else ""


def closed_output_ends_well(command: Command, work: Path) -> None:
    """Standard output on a full disk."""
    with open("/dev/full", "w") as full:
        process = command.start(work / "full", stdout=full)
        said = process.communicate(timeout=300)[1]
    assert "Traceback" not in said, said
    assert process.returncode in (0, 3), said


def writers_at_once(name: str, work: Path, writers: int) -> int:
    """Calls of one command with inputs of their own that fill one place at the same time, the third one killed.

    Returns:
        Rows in the end, after the killed one was called again: none may be lost.
    """
    if name == "predict":
        prepare_model(work)
    folders = [write_inputs(work / f"many-{name}" / str(k), files=10, seed=k) for k in range(writers)]
    for folder in folders:
        for path in folder.rglob("*.tif"):
            path.rename(path.with_name(f"{folder.name}-{path.name}"))
    shared, command = work / f"{name}-shared", commands(work)[name]

    def of(folder: Path) -> Command:
        def words(out: Path) -> list[str]:
            return [str(folder) if word == str(work / "in") else word for word in command.words(out)]

        return Command(name, words, command.results)

    started = [of(folder).start(shared) for folder in folders]
    if len(started) > 2:
        started[2].kill()
    ends = [process.communicate(timeout=600) and process.returncode for process in started]
    assert all(code in (0, -9) for code in ends), ends
    assert of(folders[2 % writers]).finish(shared)[0] == 0
    if name == "run":
        return len((shared / "manifest.jsonl").read_text().splitlines())
    return len(Path(f"{shared}.csv").read_text().splitlines()) - 1
