"""Operations on images that are spread over devices, parts of this CPU: in a process of its own, which JAX wants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import os
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import ctfast
from ctfast.errors import ArgumentError, DTypeError

HU = np.random.default_rng(3).normal(40, 300, (4, 12, 15)).astype(np.float32)
mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))
spread = jax.device_put(HU, NamedSharding(mesh, P("d")))

def over(function, out):
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=P("d"), out_specs=out))

operations = {
    "window": lambda x: ctfast.window(x, center=40, width=400),
    "normalize": ctfast.normalize,
    "standardize": ctfast.standardize,
    "rescale": lambda x: ctfast.rescale(x, slope=2.0, intercept=1.0),
    "gaussian_filter": lambda x: ctfast.gaussian_filter(x, 2.0, mode=("wrap", "nearest")),
}
factors = np.random.default_rng(4).normal(0, 1, HU.shape).astype(np.float32)
for name, function in operations.items():
    np.testing.assert_array_equal(over(function, P("d"))(spread), function(HU), err_msg=name)

    # The weight is the same on both devices, so its gradient is the mean of theirs: by NumPy, of the plain results.
    def mean_of_all(weight):
        return over(lambda x: jax.lax.pmean((weight * function(x)).sum(), "d"), P())(spread)
    np.testing.assert_allclose(jax.grad(mean_of_all)(2.0), function(HU).sum(dtype=np.float64) / 2, rtol=1e-4, atol=1e-2)

    # Gradients of images are those of the images alone.
    def weighted(x, f):
        return (function(x) * f).sum()
    both = jax.shard_map(lambda x, f: jax.grad(weighted)(x, f), mesh=mesh, in_specs=(P("d"), P("d")), out_specs=P("d"))
    expected = jax.grad(weighted)(jnp.asarray(HU), jnp.asarray(factors))
    np.testing.assert_allclose(jax.jit(both)(spread, factors), expected, rtol=1e-5, atol=1e-7, err_msg=name)

# What differs from device to device is not passed for what is the same on all.
for function in (*operations.values(), lambda x: ctfast.median_filter(x, 3), lambda x: ctfast.summary(x).mean):
    try:
        over(lambda x: function(x).sum(), P())(spread)
    except ValueError as error:
        assert "replicat" in str(error), error
    else:
        raise AssertionError("one device's result was given for all")

try:
    ctfast.median_filter(spread, 3)
except ArgumentError as error:
    assert "on 2 devices" in str(error) and "jax.jit" in str(error), error
else:
    raise AssertionError("not refused")
np.testing.assert_array_equal(jax.jit(lambda x: ctfast.median_filter(x, 3))(spread), ctfast.median_filter(HU, 3))
print("done", flush=True)
# jaxlib 0.10.2 was once seen to wait at the interpreter's end for a thread of its own that had nothing to do.
os._exit(0)
"""


def test_results_vary_over_the_devices_that_the_images_vary_over() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr[-3000:]
