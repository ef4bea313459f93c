"""What the help of each command shows; a test parses every one. Lines fit a screen of 60 columns."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        "ctfast run scans --out processed --preset lung",
        "ctfast run scans --out smooth \\",
        "    --step 'median_filter size=3' --step summary",
        "ctfast run study --out volumes --preset lung-plain \\",
        "    --series --format nii",
        "ctfast run 'scans/*.dcm' --out p --preset bone --dry-run",
    ),
    "report": (
        "ctfast report scans",
        "ctfast report scans --out r.html --csv slices.csv",
        "ctfast report scans/a.dcm --out a.html --preset lung",
    ),
    "train": (
        "ctfast train scans --out run",
        "ctfast train scans --out run --labels classes.csv \\",
        "    --column class --groups patient",
        "ctfast train scans --out small --size 64 --window 0,500",
    ),
    "evaluate": (
        "ctfast evaluate run other_scans",
        "ctfast evaluate run scans --folds 5",
    ),
    "predict": (
        "ctfast predict run scans --csv predictions.csv",
        "ctfast predict run scans --csv p.csv --explain pictures",
    ),
    "export": ("ctfast export run model.onnx", "ctfast export run/members/1 model.keras"),
    "presets": ("ctfast presets", "ctfast presets lung --toml > lung.toml"),
    "bench": (
        "ctfast bench",
        "ctfast bench --operation clahe --dtype int16",
    ),
    "synth": ("ctfast synth phantoms --count 20 --seed 1",),
    "demo": ("ctfast demo demo-output",),
}
