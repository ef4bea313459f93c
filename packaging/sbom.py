"""Write the bill of materials that the wheel carries (PEP 770) from pyproject.toml: ``python packaging/sbom.py``.

ctfast vendors nothing, so the components are what it installs, with the range of versions it takes. CycloneDX 1.6.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "packaging" / "ctfast.cdx.json"


def component(requirement: str, scope: str) -> dict[str, Any]:
    """A requirement such as ``numpy>=1.26`` as a component."""
    match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", requirement)
    assert match is not None, requirement
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}",
        "name": match[1],
        "purl": f"pkg:pypi/{name}",
        "scope": scope,
        "properties": [{"name": "versions", "value": match[2].strip() or "any"}],
    }


def bill() -> dict[str, Any]:
    """What the wheel installs, and what its extras do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    users = {k: v for k, v in project["optional-dependencies"].items() if k not in ("all", "dev", "docs", "embed-test")}
    needed = {c["bom-ref"]: c for c in (component(r, "required") for r in project["dependencies"])}
    extra = {c["bom-ref"]: c for rows in users.values() for c in (component(r, "optional") for r in rows)}
    ours = f"pkg:pypi/ctfast@{project['version']}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": ours,
                "name": "ctfast",
                "version": project["version"],
                "purl": ours,
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [*needed.values(), *(c for ref, c in extra.items() if ref not in needed)],
        "dependencies": [{"ref": ours, "dependsOn": list(needed)}],
    }


def text() -> str:
    """The file's content."""
    return json.dumps(bill(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
