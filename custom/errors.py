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
