"""What is wrong in a bundle: where, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple


class Finding(NamedTuple):
    """Something wrong in a merged config, which file it comes from not yet known.

    Attributes:
        where: the config id, such as ``train::handlers::3::interval``; or a line and column, or a file.
        cause: what is wrong, without a full stop.
        remedy: what to do, a sentence.
    """

    where: str
    cause: str
    remedy: str


@dataclass(frozen=True)
class Fault:
    """A :class:`Finding` and the file it stands in."""

    config: str
    where: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.config}  {self.where}: {self.cause}. {self.remedy}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest to what was written; empty if none is near."""
    return next(iter(get_close_matches(name, sorted(set(known)), n=1)), "")


def did_you_mean(name: str, known: Iterable[str], otherwise: str, form: str = "{}") -> str:
    """The nearest of the known names as a question, or another remedy if none is near.

    Args:
        name: what was written.
        known: what could have been meant.
        otherwise: the remedy if nothing is near.
        form: how the name is written where it stands, such as ``@{}``.
    """
    near = nearest(name, known)
    return f"Did you mean {form.format(near)}?" if near else otherwise
