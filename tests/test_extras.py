"""What `ctfast doctor` looks for is what the extras install."""

import re
import tomllib
from pathlib import Path

from ctfast.tools import doctor, doctor_gpu

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_doctor_knows_every_extra() -> None:
    extras = {
        name: {re.split(r"[<>=]", package)[0] for package in packages}
        for name, packages in PROJECT["optional-dependencies"].items()
        if name not in ("all", "docs", "dev", "embed-test")
    }
    known = {**doctor.EXTRAS, **doctor_gpu.EXTRAS}
    assert {name: set(packages) for name, packages in known.items()} == extras
    assert set(doctor.BASE) == {re.split(r"[<>=]", package)[0] for package in PROJECT["dependencies"]}


def test_all_is_everything_that_needs_no_gpu() -> None:
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(everything.removeprefix("ctfast[").removesuffix("]").split(",")) == set(doctor.EXTRAS)
