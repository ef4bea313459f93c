"""One parallel call: its tasks, who is at work on them, and an end that no interrupt can skip."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any


class Job:
    """The tasks of one call of ``parallel.run``.

    Ctrl-C may strike the caller between any two steps, so no count depends on a step of the caller being reached:
    helpers count themselves, and the pool counts a job only while somebody holds it.
    """

    def __init__(self, tasks: Iterable[Any], body: Callable[[Any], None]) -> None:
        self.counted = 0
        """Threads that the pool counts for it, the caller's among them."""
        self.error: BaseException | None = None
        """What a helper raised."""
        self._queue, self._body = deque(tasks), body
        self._lock = threading.Lock()
        self._closed = False
        self._helpers = 0
        self._left: SimpleQueue[None] = SimpleQueue()

    def step(self) -> bool:
        """Do one task; False where none is left. An error ends the whole job."""
        try:
            task = self._queue.popleft()
        except IndexError:
            return False
        try:
            self._body(task)
        except BaseException:
            self._queue.clear()
            raise
        return True

    def enter(self) -> bool:
        """Count a helper in; False where the job is over, and the helper must not touch it."""
        with self._lock:
            self._helpers += not self._closed
            return not self._closed

    def leave(self) -> None:
        """Count a helper out."""
        with self._lock:
            self._helpers -= 1
        self._left.put(None)

    def finish(self) -> None:
        """Return when no helper is at work any more, however often the caller is interrupted; then raise that.

        Helpers write to the caller's arrays, which are the caller's again when the call is over.
        """
        interrupt: BaseException | None = None
        while True:
            try:
                with self._lock:
                    self._closed = True
                self._queue.clear()
                while self._helpers:
                    self._left.get()
                break
            except BaseException as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt
