"""The one error type: it says where, what, what was expected, what was found and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class RecmtlError(Exception):
    """Input that cannot be used. The command line prints it and ends with exit code 2.

    `where` names the file, column, row or key; the other parts are sentences or fragments
    and may be left out where they would say nothing.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        fix: str | None = None,
    ) -> None:
        parts = [problem if where is None else f"{where}: {problem}"]
        if expected is not None:
            parts.append(f"  expected: {expected}")
        if found is not None:
            parts.append(f"  found:    {found}")
        if fix is not None:
            parts.append(f"  to do:    {fix}")
        super().__init__("\n".join(parts))
        self.problem = problem


def nearest(name: str, choices: Iterable[str]) -> str:
    """A sentence that points at the choice most like `name`, or lists the choices."""
    known = sorted(choices)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(known) if known else "there are none"


def alike(name: str, choices: Iterable[str], most: int = 8) -> str:
    """Names that there are instead of `name`, those most like it first."""
    known = sorted(choices)
    near = get_close_matches(name, known, n=most, cutoff=0.3)
    listed = [*near, *(choice for choice in known if choice not in near)]
    return ", ".join(listed[:most]) + ", …" * (len(listed) > most) if listed else "none"
