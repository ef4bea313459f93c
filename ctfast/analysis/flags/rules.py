"""All rules, and the flags of a set. A flag carries its rule, with threshold and source, and the value that met it.

A flag is a pointer, never a diagnosis: it says that a number passed a limit, not why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ctfast.analysis.flags.rule import DISCLAIMER, LEVELS, Flag, Rule
from ctfast.analysis.flags.rules_set import SET_RULES
from ctfast.analysis.flags.rules_slice import SLICE_RULES
from ctfast.analysis.scan.records import Collection

__all__ = ["DISCLAIMER", "LEVELS", "RULES", "Flag", "Rule", "by_rule", "find_flags"]

RULES: Final[dict[str, Rule]] = {rule.key: rule for rule in (*SLICE_RULES, *SET_RULES)}
"""Every rule by its key."""


def find_flags(collection: Collection) -> list[Flag]:
    """Every flag of a set, warnings first, in the order of the rules and of the slices."""
    flags = []
    for level in LEVELS:
        for rule in RULES.values():
            if rule.level == level:
                matches = sorted(rule.find(collection.records), key=lambda match: match[0])
                flags += [Flag(rule, slices, value) for slices, value in matches]
    return flags


def by_rule(flags: Sequence[Flag]) -> dict[Rule, list[Flag]]:
    """The flags of each rule, in the order in which they are shown."""
    groups: dict[Rule, list[Flag]] = {}
    for flag in flags:
        groups.setdefault(flag.rule, []).append(flag)
    return groups
