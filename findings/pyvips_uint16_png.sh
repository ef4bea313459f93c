#!/usr/bin/env bash
# pyvips writes a uint16 NumPy array as a PNG of 8 bits, cut at 255.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check pyvips==3.2.0 pyvips-binary==8.18.7 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import numpy as np
import pyvips

print("pyvips", pyvips.__version__, "libvips", ".".join(str(pyvips.version(i)) for i in range(3)))
ct = (np.arange(64, dtype=np.uint16) * 60).reshape(8, 8)  # 12 bits
image = pyvips.Image.new_from_array(ct)
print("in memory:", image.format, image.interpretation)
image.write_to_file("ct.png")
back = pyvips.Image.new_from_file("ct.png")
print(f"expected ushort, 0 to {ct.max()}\nseen     {back.format}, {back.min():.0f} to {back.max():.0f}, "
      f"{(back.numpy() == ct).mean():.0%} of the pixels right")
image.copy(interpretation="grey16").write_to_file("told.png")
told = pyvips.Image.new_from_file("told.png").numpy()
print("with interpretation='grey16':", told.dtype, "equal" if (told == ct).all() else "differs")
sys.exit(not (back.format == "uchar" and back.max() == 255 and told.dtype == np.uint16 and (told == ct).all()))
EOF
