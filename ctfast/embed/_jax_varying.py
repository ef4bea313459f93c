"""Inside ``shard_map``, types say over which mesh axes a value varies; calls that JAX can't look into must be told."""

from __future__ import annotations

import jax
from jax import lax


def _axes(value: jax.Array) -> frozenset[str]:
    kind = jax.typeof(value)
    # jax 0.10 and newer keep it in `manual_axis_type`, older ones in `vma`.
    newer = getattr(kind, "manual_axis_type", None)
    return frozenset(getattr(kind, "vma", ()) if newer is None else newer.varying)


def varying_like(value: jax.Array, *sources: jax.Array) -> jax.Array:
    """``value``, declared to vary over every axis that one of ``sources`` varies over."""
    wanted: frozenset[str] = frozenset().union(*(_axes(s) for s in sources))
    missing = tuple(sorted(wanted - _axes(value)))
    if not missing:
        return value
    if hasattr(lax, "pcast"):
        return lax.pcast(value, missing, to="varying")
    return lax.pvary(value, missing)
