"""The commands there are, and how the tests run one that ends the process."""

from __future__ import annotations

import pytest

from custom.cli.main import main

COMMANDS = ("phantoms", "repair", "score", "demo", "export", "check", "pack", "render", "clouds", "check_clouds")
COMMANDS += ("complete", "slices", "report")


def ended(arguments: list[str]) -> int:
    """The exit code of a command that does not just return."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert isinstance(raised.value.code, int)
    return raised.value.code
