"""What is checked before a run costs anything: mistyped settings, a folder that cannot be written, the seed."""

from __future__ import annotations

import inspect
import json
import logging
import sys
import tempfile
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.bundle import ConfigParser
from monai.utils import set_determinism

from ..errors import InputError

LOGGER = logging.getLogger(__name__)

MONAI_KEYS = {"_meta_", "_requires_", "imports", "initialize", "run", "finalize", "tracking"}


def running_config() -> dict[str, Any]:
    """The merged config, overrides included, of the parser that is building the caller.

    MONAI hands a component its own arguments only, and takes an unknown override in silence; the parser's frame is the
    one place where what the user typed can still be seen. Empty outside of a parser.
    """
    frame = inspect.currentframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return dict(parser.get())
        frame = frame.f_back
    return {}


def declared_keys(configs: Path) -> set[str]:
    """Top-level keys of all JSON configs in a folder and below."""
    keys: set[str] = set()
    for path in sorted(configs.rglob("*.json")):
        keys |= {key.lstrip("+").split("::")[0] for key in json.loads(path.read_text())}
    return keys


def check_keys(config: dict[str, Any], configs: Path) -> None:
    """Refuse a top-level key that no config of the bundle declares and nothing refers to.

    Raises:
        InputError: naming the nearest declared key.
    """
    declared = declared_keys(configs)
    for key in sorted(set(config) - declared - MONAI_KEYS):
        text = json.dumps({name: value for name, value in config.items() if name != key}, default=str)
        if f"@{key}" in text or f"%{key}" in text:
            continue
        near = get_close_matches(key, sorted(declared), n=1, cutoff=0.0)
        raise InputError(
            f"--{key}", "a setting this bundle does not have", "one of its settings", f"Did you mean --{near[0]}?"
        )


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        found, wanted = f"a folder that cannot be written ({error.strerror})", "a writable folder"
        raise InputError(folder, found, wanted, "Choose another --output_dir.") from error


def root_cause(error: BaseException) -> BaseException:
    """The innermost ``InputError`` of a chain of exceptions, or the error itself."""
    found, link = error, error.__cause__ or error.__context__
    while link is not None:
        if isinstance(link, InputError):
            found = link
        link = link.__cause__ or link.__context__
    return found


def say_only_the_cause() -> None:
    """From now on an uncaught ``InputError`` is one line, however many layers MONAI has wrapped around it."""
    usual = sys.excepthook
    if getattr(usual, "says_only_the_cause", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            sys.stderr.write(f"error: {cause}\n")
        else:
            usual(kind, error, trace)

    hook.says_only_the_cause = True  # type: ignore[attr-defined]
    sys.excepthook = hook


class Preflight:
    """Run all checks when built; first in a bundle's ``training``, ``infer`` and ``evaluate`` lists.

    Args:
        bundle_root: the bundle's folder.
        folder: where the run will write.
        seed: of everything random; ``None`` leaves the seeds alone.
        overlays: names, lower case, of settings overlays beside the config that the user may want, by structure.
    """

    def __init__(
        self, bundle_root: str | Path, folder: str | Path, seed: int | None = None, overlays: Iterable[str] = ()
    ) -> None:
        say_only_the_cause()
        configs = Path(bundle_root) / "configs"
        check_keys(running_config(), configs)
        check_writable(Path(folder))
        if seed is not None:
            set_determinism(seed)
        for name in overlays:
            overlay = configs / "structures" / f"{name.lower()}.json"
            if overlay.is_file():
                LOGGER.info("%s has settings of its own: add %s to --config_file to use them", name, overlay)
