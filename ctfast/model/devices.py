"""Which devices train, and how batches and weights lie on them: batches split, weights everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from ctfast.dispatch.forked import refuse_jax_after_fork
from ctfast.errors import ArgumentError, BackendUnavailableError

AXIS: Final = "images"
_ALIASES: Final = {"cuda": "gpu", "rocm": "gpu"}


@dataclass(frozen=True)
class Devices:
    """The devices of a run.

    Attributes:
        devices: In order; those of all processes when several take part.
        mesh: One axis, over all of them.
    """

    devices: tuple[jax.Device, ...]
    mesh: Mesh

    @property
    def platform(self) -> str:
        """``cpu``, ``gpu`` or ``tpu``."""
        return _ALIASES.get(self.devices[0].platform, self.devices[0].platform)

    @property
    def local(self) -> tuple[jax.Device, ...]:
        """Those of this process."""
        return tuple(d for d in self.devices if d.process_index == jax.process_index())

    @property
    def everywhere(self) -> Sharding:
        """The same on each device: weights."""
        return self._sharding(PartitionSpec())

    def split(self, axis: int) -> Sharding:
        """Cut along ``axis``: batches."""
        return self._sharding(PartitionSpec(*[None] * axis, AXIS))

    def _sharding(self, spec: PartitionSpec) -> Sharding:
        return NamedSharding(self.mesh, spec) if len(self.devices) > 1 else SingleDeviceSharding(self.devices[0])

    def put(self, sharding: Sharding, shape: tuple[int, ...], part: Callable[[Any], Any]) -> jax.Array:
        """An array on the devices; ``part(index)`` gives what lies at an index: only parts of this process are asked
        for."""  # fmt: skip
        if len(self.devices) == 1:
            return jax.device_put(part(tuple(slice(None) for _ in shape)), sharding)
        return jax.make_array_from_callback(shape, sharding, part)

    def replicate(self, tree: Any) -> Any:
        """Arrays of the host to every device."""
        return jax.tree.map(lambda a: self.put(self.everywhere, np.shape(a), lambda i: np.asarray(a)[i]), tree)

    def memory_bytes(self) -> int:
        """Memory that is free on the device with the least."""
        from ctfast.batch.limits import available_bytes

        stats = [d.memory_stats() for d in self.local]
        free = [s["bytes_limit"] - s.get("bytes_in_use", 0) for s in stats if s and "bytes_limit" in s]
        return min(free) if len(free) == len(stats) else available_bytes() // len(self.local)

    def describe(self) -> list[str]:
        """For the record of a run."""
        return [f"{d.platform}:{d.id} {d.device_kind} (process {d.process_index})" for d in self.devices]


def to_host(tree: Any) -> Any:
    """NumPy copies of arrays that lie whole on this process' first device."""
    return jax.tree.map(
        lambda a: np.asarray(a if a.is_fully_addressable else a.addressable_data(0)) if isinstance(a, jax.Array) else a,
        tree,
    )


def choose_devices(wanted: str | None = None) -> Devices:
    """The devices of a run.

    Args:
        wanted: ``None``: all of the best platform. ``"cpu"``, ``"gpu"``, ``"tpu"``: all of one. ``"gpu:1"``,
            ``"cpu:0,cpu:1"``: single ones, by their number on their platform.

    Raises:
        ArgumentError: For what is no such list.
        BackendUnavailableError: For devices that are not there; names those that are.
    """
    refuse_jax_after_fork()
    if wanted is None:
        return _meshed(jax.devices())
    if not isinstance(wanted, str) or not wanted.strip():
        raise ArgumentError(f"devices={wanted!r}: None, 'cpu', 'gpu', 'gpu:1' or 'cpu:0,cpu:1' is allowed")
    chosen: list[jax.Device] = []
    for name in wanted.split(","):
        platform, _, number = name.strip().lower().partition(":")
        present = _of_platform(_ALIASES.get(platform, platform))
        matching = [d for d in present if not number or str(d.id) == number]
        if not matching:
            raise BackendUnavailableError(
                f"no device {name.strip()!r} here; there are {', '.join(f'{d.platform}:{d.id}' for d in _all())}."
                + (" A GPU needs JAX's CUDA build: pip install 'jax[cuda12]'" if platform in ("gpu", "cuda") else "")
            )
        chosen += [d for d in matching if d not in chosen]
    if len({d.platform for d in chosen}) > 1:
        raise ArgumentError(f"devices={wanted!r}: devices of one platform are allowed")
    return _meshed(chosen)


def _of_platform(platform: str) -> list[jax.Device]:
    try:
        return list(jax.devices(platform))
    except RuntimeError:  # JAX knows no such platform, or cannot start it
        return []


def _all() -> list[jax.Device]:
    devices = list(jax.devices())
    return devices + [d for d in _of_platform("cpu") if d not in devices]


def _meshed(devices: list[jax.Device]) -> Devices:
    ordered = tuple(sorted(devices, key=lambda d: (d.process_index, d.id)))
    return Devices(ordered, Mesh(np.array(ordered), (AXIS,)))


def join_processes(coordinator: str, processes: int, number: int) -> None:
    """Make this process one of several that train together; before anything else of JAX is used.

    Every process then calls ``fit`` with the same arguments; the run folder must be one that all of them see.

    Args:
        coordinator: ``host:port`` of process 0.
        processes: How many there are.
        number: Which one this is, from 0.

    Raises:
        ArgumentError: For numbers that don't fit.
        BackendUnavailableError: If the others can't be reached.
    """
    if processes < 1 or not 0 <= number < processes:
        raise ArgumentError(f"process {number} of {processes}: numbers from 0 to processes - 1 are allowed")
    try:
        jax.distributed.initialize(coordinator, num_processes=processes, process_id=number)
    except RuntimeError as error:
        raise BackendUnavailableError(
            f"process {number} of {processes} could not join at {coordinator}: {error}; start all of them within five "
            "minutes, with an address that all can reach"
        ) from error


def wait_for_all(what: str) -> None:
    """Until every process has come here; nothing where there is only one."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"ctfast {what}")
