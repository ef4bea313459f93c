"""How help is laid out: in groups, complete on narrow screens, with examples that work."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand

from ctfast.batch.address_space import Need, check_room
from ctfast.batch.kept_memory import keep_memory
from ctfast.cli.examples import EXAMPLES
from ctfast.cli.values import without_pydantic

NAMES: Final = 24
"""Columns of option names; the text of a longer one begins in the next line."""


_NEEDS: Final = {
    **dict.fromkeys(("presets", "merge"), Need.ARRAYS),
    **dict.fromkeys(("train", "evaluate", "predict", "export", "doctor"), Need.NETWORK),
}
"""Of address space; kernels, where nothing else is said."""
_TRAINING: Final = ("train", "evaluate")


class Command(TyperCommand):
    """A command whose help shows its options by group, the ungrouped ones last, and examples."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its arguments and options."""
        return without_pydantic(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run it where there is room for what it loads."""
        check_room(_NEEDS.get(self.name or "", Need.KERNELS))
        if self.name in _TRAINING:
            keep_memory()
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then the groups in the order in which they are defined, then all other options."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        other: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            panel = getattr(param, "rich_help_panel", None)
            if param.param_type_name == "argument":
                groups["Arguments"].append(record)
            elif panel:
                groups.setdefault(panel, []).append(record)
            else:
                other.append(record)
        for title, rows in {**groups, "Options": other}.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=NAMES)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, as they are typed."""
        examples = EXAMPLES.get(self.name or "", ())
        if examples:
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
