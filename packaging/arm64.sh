#!/usr/bin/env bash
# Whether the kernels, compiled for 64-bit ARM (NEON), give the bits that they give here: run under emulation.
# Needs Debian's qemu-user-static, dpkg with the foreign architecture (dpkg --add-architecture arm64; apt-get update),
# and some ten minutes. Usage, in an environment with ctfast's tests: bash packaging/arm64.sh [FOLDER TO KEEP ALL IN]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work/packages" "$work/system" "$work/wheels" "$work/site"
cd "$work/packages"
apt-get download {python3.11,python3.11-minimal,libpython3.11-minimal,libpython3.11-stdlib,libc6,libgcc-s1,libstdc++6}:arm64 \
    {zlib1g,libexpat1,libssl3,libffi8,libbz2-1.0,liblzma5,libsqlite3-0,libuuid1,libgomp1}:arm64
for package in *.deb; do dpkg -x "$package" "$work/system"; done
cd "$root"
python -m pip download --quiet --dest "$work/wheels" --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 \
    "$(python -c 'import numpy; print(f"numpy=={numpy.__version__}")')" \
    "$(python -c 'import numba; print(f"numba=={numba.__version__}")')" filelock rich tifffile typer
for wheel in "$work"/wheels/*.whl; do python -m zipfile -e "$wheel" "$work/site"; done
export PYTHONPATH=$root:$root/kernels
python -m tests.other_machine keep "$work/here.npz"
PYTHONPATH=$work/site:$PYTHONPATH NUMBA_CACHE_DIR=$work/cache \
    qemu-aarch64-static -L "$work/system" "$work/system/usr/bin/python3.11" -m tests.other_machine compare "$work/here.npz"
