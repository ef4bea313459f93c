"""``python -m ctfast`` is the ``ctfast`` command."""

import signal


def main() -> None:
    """Entry point: until the command line is loaded nothing is done yet, and Ctrl-C ends it without a word."""
    handled = signal.getsignal(signal.SIGINT)
    if handled is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ctfast.cli import main as command

    signal.signal(signal.SIGINT, handled)
    command()


if __name__ == "__main__":
    main()
