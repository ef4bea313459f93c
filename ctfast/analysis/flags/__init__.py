"""Flags: what in a slice or a set deserves a person's look."""
