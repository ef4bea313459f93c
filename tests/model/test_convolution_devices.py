"""Images spread over two devices, each of which is a part of this CPU: in a process of its own, which JAX wants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from ctfast.model.network.convolution import blocks_together, conv_relu_pool

path = {path!r}
rng = np.random.default_rng(0)
x, k, b = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in ((4, 20, 18, 5), (3, 3, 5, 16), (16,)))

def loss(x, k, b):
    return (conv_relu_pool(x, k, b, path=path) ** 2).mean()

expected = jax.value_and_grad(loss, (0, 1, 2))(x, k, b)

def check(found):
    for ours, one in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(ours, one, rtol=0, atol=2e-6 * np.abs(one).max())

for kind in {kinds}:
    mesh = jax.make_mesh((2,), ("data",), axis_types=(kind,))
    args = [jax.device_put(x, NamedSharding(mesh, P("data")))]
    args += [jax.device_put(a, NamedSharding(mesh, P())) for a in (k, b)]
    step = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    found = step(*args)
    check(found)
    assert found[1][0].sharding.spec[0] == "data", found[1][0].sharding
    program = step.lower(*args).compile().as_text()
    assert "all-gather" not in program, "a device was sent another's images"
    assert "all-reduce" in program

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=(P(), (P("data"), P(), P())))
    def manual(x, k, b):
        value, (dx, dk, db) = jax.value_and_grad(loss, (0, 1, 2))(x, k, b)
        return jax.lax.pmean(value, "data"), (dx / 2, dk / 2, db / 2)

    check(manual(*args))

    if path == "ffi":
        weights = [k, b, *(jnp.asarray(rng.standard_normal(s), jnp.float32) for s in ((3, 3, 16, 8), (8,)))]
        wanted = conv_relu_pool(conv_relu_pool(x, *weights[:2], path=path), *weights[2:], path=path)
        spread = [args[0], *(jax.device_put(a, NamedSharding(mesh, P())) for a in weights)]
        together = jax.jit(blocks_together)
        program = together.lower(*spread).compile().as_text()
        assert "all-gather" not in program, "a device was sent another's images"
        np.testing.assert_array_equal(together(*spread), wanted)
        alike = (P("data"), P(), P(), P(), P())
        split = jax.shard_map(blocks_together, mesh=mesh, in_specs=alike, out_specs=P("data"))
        np.testing.assert_array_equal(jax.jit(split)(*spread), wanted)
print("agreed")
"""


@pytest.mark.parametrize(
    ("path", "kinds"), [("ffi", "(AxisType.Auto, AxisType.Explicit)"), ("lax", "(AxisType.Auto,)")]
)
def test_two_devices_find_what_one_finds(path: str, kinds: str) -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), "XLA_FLAGS": flags}
    script = SCRIPT.format(path=path, kinds=kinds)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert done.stdout == "agreed\n", done.stderr
