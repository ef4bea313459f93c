"""``python -m ctfast`` is the ``ctfast`` command."""

from ctfast.cli import main

main()
