"""What the page of a finished run was made of, kept so that it can be written anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..anatomy import StructureTable, adjusted
from ..errors import InputError

WORKS = ("repair", "completion")


@dataclass(frozen=True)
class ReportRecord:
    """What a page is made of, beside the label maps and ``metrics.csv`` in the output folder.

    Attributes:
        work: one of :data:`WORKS`.
        label_table: name of the table.
        facts: what was run, for the head of the page.
        before: label map of each case as it came, by its name.
        truth: label maps of the truth, of as many as there are.
        table_changes: fields of the table's structures that were replaced.
        final: of a repair, whose label maps it ended with.
    """

    work: str
    label_table: str
    facts: Mapping[str, str]
    before: Mapping[str, Path]
    truth: Mapping[str, Path] = field(default_factory=dict)
    table_changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    final: str = ""

    @property
    def table(self) -> StructureTable:
        return adjusted(self.label_table, self.table_changes)

    def plain(self) -> dict[str, Any]:
        """As JSON has it, every path absolute."""
        return {
            "work": self.work,
            "label_table": self.label_table,
            "facts": dict(self.facts),
            "before": {name: str(path.absolute()) for name, path in self.before.items()},
            "truth": {name: str(path.absolute()) for name, path in self.truth.items()},
            "table_changes": {name: dict(fields) for name, fields in self.table_changes.items()},
            "final": self.final,
        }

    @classmethod
    def of(cls, record: Mapping[str, Any], output: Path) -> ReportRecord:
        """The record in ``shown.json`` of an output folder.

        Raises:
            InputError: naming the folder; it says nothing: no run has come to its end there, or an older version's.
        """
        told = record.get("told")
        if not isinstance(told, dict) or told.get("work") not in WORKS:
            found, wanted = "no finished repair or completion", "the output folder of one"
            raise InputError(output, found, wanted, "Give its command again: it does what is missing, and no more.")
        paths = {key: {name: Path(path) for name, path in told[key].items()} for key in ("before", "truth")}
        return cls(**{**told, **paths})
