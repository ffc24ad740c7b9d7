"""What a bundle is started with, checked before anything else: the list to run, and paths as they were typed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from ..errors import InputError
from .preflight import log_only_root_cause, running_config
from .setting_rules import PATHS

COMMAND = ("monai", "bundle", "__main__.py")
"""Of ``python -m monai.bundle``, by torchrun too."""

EXPRESSION = ("$", "@", "%")
EMPTY = ("", '""', "''")
MAY_BE_EMPTY = {"init_from"}
"""Paths that a config sets to a file, and for which an empty text stands for none."""


def check_entry() -> None:
    """Refuse a list that the configs do not run, and a path that did not arrive as it was typed.

    From here on an uncaught ``InputError`` is one line.

    Raises:
        InputError: naming the list or the setting.
    """
    log_only_root_cause()
    config = running_config()
    check_run_id(running_id(), config)
    if Path(sys.argv[0]).parts[-len(COMMAND) :] == COMMAND:
        check_typed_paths(typed_settings(sys.argv[1:]), config)


def running_id() -> str | None:
    """The list that the workflow which builds the caller is going to run; ``None`` outside of a workflow."""
    frame = inspect.currentframe()
    while frame is not None:
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return str(workflow.run_id)
        frame = frame.f_back
    return None


def run_ids(config: Mapping[str, Any]) -> list[str]:
    """The lists of a config that can be run: those that check it first."""
    lists = [key for key, value in config.items() if isinstance(value, list) and "@check" in value and key != "run"]
    return [*lists, *(key for key in ("check", "run") if key in config)]


def check_run_id(run_id: str | None, config: Mapping[str, Any]) -> None:
    """Refuse what is no list to run. MONAI would build a group of that name, and do nothing with it.

    Raises:
        InputError: naming the nearest list.
    """
    known = run_ids(config)
    if run_id is not None and run_id not in known:
        near = get_close_matches(run_id, known, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]}?" if near else "Choose one of them."
        raise InputError(f"monai.bundle run {run_id}", "no such list", f"one of {', '.join(known)}", remedy)


def typed_settings(words: Sequence[str]) -> dict[str, str]:
    """The texts behind the flags of a command line, as Fire pairs them."""
    typed = {}
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        name, sign, text = word.partition("=")
        if word.startswith("--") or word[:2].lstrip("-").isalpha() and word.startswith("-"):
            flag = following.startswith("--") or following[:1] == "-" and following[1:2].isalpha()
            if sign or not flag:
                typed[name.lstrip("-").replace("-", "_")] = text if sign else following
    return typed


def check_typed_paths(typed: Mapping[str, str], config: Mapping[str, Any]) -> None:
    """Refuse a path that is not what was typed: Fire reads ``1.10`` as a number, MONAI ``./a#b`` as the id ``./a::b``.

    Args:
        typed: texts by setting; what is still to be computed is passed over.
        config: merged, overrides included.

    Raises:
        InputError: naming the setting and how to write the path; or the path is empty.
    """
    for name in sorted(PATHS & set(typed)):
        text = typed[name]
        if text in EMPTY:
            if name in MAY_BE_EMPTY:
                continue
            raise InputError(f"--{name}", "an empty text", "a path", "Give one, or leave the flag out.")
        if not text.startswith(EXPRESSION) and config.get(name) != text:
            # No expression of Python begins with ./, but MONAI replaces # by :: wherever it stands.
            remedy = "Choose another name" if "#" in text else f"Write --{name} ./{text}"
            raise InputError(f"--{name}", f"{text!r}, which arrives as {config.get(name)!r}", "a path", f"{remedy}.")
