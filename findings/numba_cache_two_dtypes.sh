#!/usr/bin/env bash
# Two processes that compile one `cache=True` function for two dtypes at once may leave a cache in which one dtype leads
# to the code of the other: later processes give wrong values without an error.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet "numba==0.68.1" "numpy==2.4.6"
cd "$work"
cat > summing.py <<'PY'
import numba


@numba.njit(cache=True)
def total(x):
    s = x[0] - x[0]
    for v in x:
        s += v
    return s
PY
cat > one.py <<'PY'
"""one.py DTYPE PAUSE_BEFORE_INDEX PAUSE_BEFORE_CODE: the pauses only make a rare order of writing happen every time."""
import sys
import time

import numpy as np
from numba.core.caching import IndexDataCacheFile as Files

import summing


def after(pause, do):
    def later(*arguments):
        time.sleep(pause)
        return do(*arguments)
    return later


Files._save_index = after(float(sys.argv[2]), Files._save_index)
Files._save_data = after(float(sys.argv[3]), Files._save_data)
print(float(summing.total(np.arange(1, 6).astype(sys.argv[1]))))
PY
"$work/env/bin/python" -c 'import numba, numpy; print("numba", numba.__version__, "numpy", numpy.__version__)'
"$work/env/bin/python" one.py int32 2 4 > first &
"$work/env/bin/python" one.py float32 3 0 > second
wait
echo "while both compile: int32 $(cat first), float32 $(cat second) (expected 15.0 and 15.0)"
seen="$("$work/env/bin/python" one.py int32 0 0) $("$work/env/bin/python" one.py float32 0 0)"
echo "afterwards, from the cache: $seen (expected 15.0 15.0)"
[ "$(cat first) $(cat second)" = "15.0 15.0" ] && [ "$seen" != "15.0 15.0" ]
