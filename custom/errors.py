"""The one kind of error a user can mend herself."""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """Something the user gave does not fit.

    The message is one line: where it is, what was found, what was wanted, what to do.

    Args:
        where: the file, folder or config key at fault.
        found: what is there.
        wanted: what should be there.
        remedy: what the user can do about it, as an imperative.
    """

    def __init__(self, where: str | Path, found: str, wanted: str, remedy: str) -> None:
        super().__init__(f"{where}: found {found}; wanted {wanted}. {remedy}")
        self.parts = (where, found, wanted, remedy)

    def __reduce__(self) -> tuple[type[InputError], tuple[str | Path, str, str, str]]:
        """Rebuilt from its parts: an error crosses from a worker process to its parent."""
        return type(self), self.parts


def in_one_line(error: BaseException) -> str:
    """Type and first line of an error that nobody has foreseen, as far as it fits into a line of ours."""
    first = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def unforeseen(where: str | Path, error: BaseException) -> InputError:
    """The message of an unforeseen error of a single case.

    Of a chain of errors the first is named: the others are layers of libraries around it.
    """
    first, seen = error, {id(error)}
    while (link := first.__cause__ or first.__context__) is not None and id(link) not in seen:
        first = link
        seen.add(id(link))
    remedy = "Leave it out, or see the trace in the log."
    return InputError(where, f"an error that was not foreseen ({in_one_line(first)})", "none", remedy)
