"""Event sources: logs of what came of an impression later, and within which time it still counts."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from recmtl.errors import nearest
from recmtl.schema.config import Config
from recmtl.schema.times import duration

IMPRESSION = "impression"


class Event(Config):
    """A log of events, each credited to one cause at most: an impression, or another source's """

    path: str | tuple[str, ...] = Field(description="file, glob, or list of them")
    time: str = Field(description="column of the event's time")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(
        default=None, description="unit of an integer time since 1970; none for timestamps"
    )
    on: str | tuple[str, ...] = Field(min_length=1, description="columns equal in event and cause")
    window: str = Field(description='how long after its cause an event counts, e.g. "30 minutes"')
    of: str = Field(default=IMPRESSION, description="the source of its cause")
    id: str | None = Field(default=None, description="column of an event's identity; repeats count once")
    touch: Literal["last", "first"] = Field(
        default="last", description="which of several causes within the window is credited"
    )
    where: str | None = Field(default=None, description="rows that are events, in the labels' grammar")
    sum: tuple[str, ...] = Field(default=(), description="columns summed over an impression's events")

    @field_validator("window", mode="before")
    @classmethod
    def _is_duration(cls, value: object) -> object:
        duration(value)
        return value

    @property
    def seconds(self) -> int:
        """The window."""
        return duration(self.window)

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.on,) if isinstance(self.on, str) else self.on

    def columns(self, name: str) -> tuple[str, ...]:
        """The columns that impressions get from the source called `name`."""
        return (name, f"{name}_time", *self.sum)


def chain(name: str, events: Mapping[str, Event]) -> tuple[str, ...]:
    """A source and those before it, back to the impression. Raises ValueError where there is no way."""
    names = [name]
    while (of := events[names[-1]].of) != IMPRESSION:
        if of not in events:
            raise ValueError(
                f"events.{names[-1]}.of: no source {of!r}; {nearest(of, [IMPRESSION, *events])}"
            )
        if of in names:
            raise ValueError(f"events.{name}.of: {' of '.join([*names, of])} is a circle")
        names.append(of)
    return tuple(names)


def horizon(name: str, events: Mapping[str, Event]) -> int:
    """Seconds after an impression until no event of the source can come of it any more."""
    return sum(events[source].seconds for source in chain(name, events))


def check_events(events: Mapping[str, Event]) -> None:
    """Raise ValueError for sources that hang on nothing, or give two columns of one name."""
    owners: dict[str, str] = {}
    for name, event in events.items():
        if not name.isidentifier() or name.casefold() == IMPRESSION:
            raise ValueError(f"events.{name}: {name!r} is no name for a source of events")
        chain(name, events)
        for column in event.columns(name):
            owner = owners.setdefault(column.casefold(), name)
            if owner != name or event.columns(name).count(column) > 1:
                raise ValueError(f"events.{name}: events.{owner} gives a column {column!r} already")
