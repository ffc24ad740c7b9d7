"""The help of the commands as plain text: Fire's own page, without its pager, its colours and its short flags."""

from __future__ import annotations

import re
from typing import Any

from fire.helptext import HelpText
from fire.trace import FireTrace

PAINT = re.compile(r"\x1b\[[0-9;]*m")
SHORT = re.compile(r"^(\s+)-\w, (?=--)", re.MULTILINE)
TYPE = re.compile(r"(?<=Type: )'(.*)'$|(?<=Default: )PosixPath\((.*)\)$", re.MULTILINE)


def explained(commands: Any, name: str = "") -> str:
    """What a command does and takes; without a name, which commands there are.

    Args:
        commands: an object, the methods of which are the commands.
        name: of one of them.
    """
    trace = FireTrace(commands, name="corfield")
    part = commands
    if name:
        part = getattr(commands, name)
        trace.AddAccessedProperty(part, name, [name], None, None)
    text = SHORT.sub(r"\1", PAINT.sub("", HelpText(part, trace=trace)))
    return TYPE.sub(lambda found: found[1] or found[2], text).rstrip()
