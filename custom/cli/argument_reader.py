"""The words of a command line as the arguments of a command, each of the kind that the command declares.

Text is taken as it stands: ``1.10``, ``run#2``, ``[a]`` and ``None`` are names like any other.
"""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from fire.parser import DefaultParseValue

from ..errors import InputError
from ..run.cli_values import number, whole_number

FLAG = re.compile(r"-(?!\.?\d).", re.DOTALL)
"""How a flag begins; -1 and -.5 are values, and - alone is a name."""
BOOLS = {"true": True, "false": False}


def read(command: Callable[..., Any], words: Iterable[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments for a command, with nothing called.

    Words without a flag fill the parameters without a default, in their order, or all go to ``*args`` if the command
    has it. ``--name value`` and ``--name=value`` are the same, and so are ``-`` and ``_`` in a name. A flag of kind
    bool is true with nothing behind it; its value is written ``--name=false``. Behind ``--`` no word is a flag.
    What ``**kwargs`` takes is read as MONAI reads the settings of a bundle.

    Args:
        command: a bound method; its annotations are str, Path, int, float or bool, perhaps with None.
        words: what was typed behind the command's name.

    Raises:
        InputError: naming the flag; one that there is not, given twice, without a value or with one of another kind, an
            empty text, too many words or too few.
    """
    parameters = inspect.signature(command, eval_str=True).parameters
    named = {name: one for name, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD}
    several = next((one for one in parameters.values() if one.kind is one.VAR_POSITIONAL), None)
    free = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    given: dict[str, Any] = {}
    loose: list[tuple[str, str]] = []
    left, before = deque(words), ""
    while left:
        word = left.popleft()
        if word == "--":
            loose += [(text, "") for text in left]
            break
        if not FLAG.match(word):
            loose.append((word, before))
            before = ""
            continue
        name, sign, text = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not word.startswith("--") or not (name in named or (free and name)):
            raise unknown_flag(word.split("=")[0], named)
        if name in given:
            raise InputError(f"--{name}", "the flag twice", "it once", "Leave one of them out.")
        kind = _kind(named[name]) if name in named else Any
        value = text if sign else _behind(f"--{name}", kind, left)
        given[name] = _setting(name, value) if kind is Any else _value(f"--{name}", kind, value)
        before = f"--{name}" if kind is bool and not sign else ""
    if several is not None:
        return tuple(_value(several.name.upper(), _kind(several), text) for text, _ in loose), given
    open_to = [name for name, one in named.items() if one.default is one.empty and name not in given]
    _check_number(command.__name__, loose, open_to, named)
    for name, (text, _) in zip(open_to, loose, strict=True):
        given[name] = _value(name.upper(), _kind(named[name]), text)
    return (), given


def unknown_flag(flag: str, named: Iterable[str]) -> InputError:
    """What to say of a flag that a command does not have: the nearest that it has."""
    known, name = list(named), flag.lstrip("-").replace("-", "_")
    near = get_close_matches(name, known, n=1)
    if len(name) == 1:  # such as -o for --output
        near = [one for one in known if one.startswith(name)][:1]
    near = near or get_close_matches(re.sub("^no_?", "", name), known, n=1)
    wanted = f"one of --{', --'.join(known)}" if known else "no flag"
    hint = f"Did you mean --{near[0]}?" if near else "Choose one of them."
    return InputError(flag, "no such flag", wanted, hint if known else "Leave it out.")


def _kind(parameter: inspect.Parameter) -> Any:
    """The kind of a parameter, without the ``None`` that it may be if left out."""
    kinds = [kind for kind in get_args(parameter.annotation) if kind is not NoneType]
    return kinds[0] if kinds else parameter.annotation


def _behind(flag: str, kind: Any, left: deque[str]) -> str | None:
    """The value behind a flag, taken from the words that are left; ``None`` where none belongs there."""
    following = left[0] if left else "--"
    if kind is bool:
        if following.lower() in BOOLS:
            remedy = f"Write {flag}={following.lower()}, or leave the value out."
            raise InputError(flag, f"{following!r} behind it", "nothing behind it", remedy)
        return None
    if FLAG.match(following):
        if kind is Any:
            return None
        remedy = f"Write {flag}=VALUE." if following == "--" else f"A value that begins with - is written {flag}=-..."
        raise InputError(flag, "nothing behind it", "a value", remedy)
    return left.popleft()


def _value(where: str, kind: Any, text: str | None) -> Any:
    """A text as a value of a kind: str, Path, int, float or bool."""
    if kind is bool:
        if text is None or text.lower() in BOOLS:
            return text is None or BOOLS[text.lower()]
        raise InputError(where, repr(text), "nothing behind it, or =true or =false", "Correct it.")
    assert text is not None
    if kind in (str, Path):
        if not text:
            raise InputError(where, "an empty text", "a path" if kind is Path else "some text", _without(where))
        return kind(text)
    return whole_number(where, text) if kind is int else number(where, text)


def _without(where: str) -> str:
    return "Give one, or leave the flag out." if where.startswith("--") else "Give one."


def _setting(name: str, text: str | None) -> Any:
    """A setting of a bundle as MONAI reads it. Raises ``InputError``: a path that would arrive as another one."""
    if text is None:
        return True
    from ..training.entry import check_typed_paths  # loads MONAI, which no other argument needs

    value = DefaultParseValue(text)
    check_typed_paths({name: text}, {name: value.replace("#", "::") if isinstance(value, str) else value})
    return value


def _check_number(
    name: str, loose: list[tuple[str, str]], open_to: list[str], named: Mapping[str, inspect.Parameter]
) -> None:
    """Refuse more words without a flag than there are parameters for them, and fewer."""
    wanted = " ".join(each.upper() for each, one in named.items() if one.default is one.empty)
    remedy = f"`corfield {name} --help` explains them."
    if len(loose) > len(open_to):
        for text, flag in loose:
            if flag:
                found, wanted = f"{text!r} behind it", "nothing behind it, or =true or =false"
                raise InputError(flag, found, wanted, "Leave the value out.")
        text = loose[len(open_to)][0]
        takes = f"no word without a flag but {wanted}" if wanted else "no word without a flag"
        raise InputError(f"corfield {name}", f"{text!r}, a word too many", takes, remedy)
    if len(loose) < len(open_to):
        missing = " and ".join(each.upper() for each in open_to[len(loose) :])
        raise InputError(f"corfield {name}", f"no {missing}", wanted, remedy)
