"""A finding: what a check saw, where, what was expected, and what to do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from recmtl.schema.contract import Level

LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`column` may be a label or a source of events; `day` is the worst one where there are several."""

    level: Level
    check: str
    column: str | None = None
    day: str | None = None
    expected: str
    found: str
    fix: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.column, self.day) if part)
        return f"{self.check}{f' ({place})' if place else ''}: {self.found}"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first, each level by check and column."""
    return sorted(
        findings, key=lambda f: (LEVELS.index(f.level), f.check, f.column or "", f.day or "")
    )
