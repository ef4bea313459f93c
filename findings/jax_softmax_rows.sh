#!/usr/bin/env bash
# XLA on a CPU makes other code of a softmax for many rows than for few: a row's last bits depend on its batch.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu env/bin/python - <<'EOF'
import sys
import jax
import numpy as np

print("jax", jax.__version__, "NumPy", np.__version__)
logits = np.random.default_rng(0).normal(0, 5, (2000, 3)).astype(np.float32)
softmax = jax.jit(jax.nn.softmax)
together = np.asarray(softmax(logits))
in_parts = np.concatenate([softmax(logits[k : k + 100]) for k in range(0, 2000, 100)])
powers = np.exp(logits.astype(np.float64))
exact = powers / powers.sum(axis=1, keepdims=True)
differ = int((together != in_parts).any(axis=1).sum())
print(f"rows of 2,000 that are others in batches of 100\n  expected 0, as each row is computed by itself\n  seen     {differ}")
print(f"largest difference: {np.abs(together - in_parts).max():.1e}; both within {max(np.abs(p - exact).max() for p in (together, in_parts)):.1e} of float64's")
sys.exit(not (differ > 100 and max(np.abs(p - exact).max() for p in (together, in_parts)) < 1e-6))
EOF
