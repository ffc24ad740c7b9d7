"""The commands there are, and how the tests run one that ends the process."""

from __future__ import annotations

from custom.cli.main import main

COMMANDS = ("phantoms", "repair", "score", "demo", "export", "check", "pack", "render", "clouds", "check_clouds")
COMMANDS += ("complete", "slices", "report")


def ended(arguments: list[str]) -> int:
    """The exit code of a command."""
    try:
        main(arguments)
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code
    return 0
