"""A scheduler of dask.distributed and its workers, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

QUIET = "--no-dashboard"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), **more}


class Running:
    """See above."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, list[subprocess.Popen[bytes]]()
        about = folder / "scheduler.json"
        self.start("scheduler", "--port", "0", QUIET, "--scheduler-file", str(about))
        while not (about.exists() and about.read_text().rstrip().endswith("}")):
            assert self.processes[0].poll() is None
        self.address = json.loads(about.read_text())["address"]

    def start(self, what: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_" + what, *arguments]
        process = subprocess.Popen(
            command,
            env=environment(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0", **variables),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def worker(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        started = self.start(
            "worker",
            self.address,
            "--no-nanny",
            "--nthreads",
            "1",
            QUIET,
            "--local-directory",
            str(self.folder),
            *arguments,
            **variables,
        )
        import distributed

        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(sum(process.poll() is None for process in self.processes) - 1, timeout=60)
        return started

    def end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
