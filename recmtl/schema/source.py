"""Where a log lies, what its keys and times are, what is joined to it and how it is split."""

from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator, model_validator

from recmtl.schema.config import Config
from recmtl.schema.events import Event, check_events
from recmtl.schema.times import checked_zone, duration, written


class Impressions(Config):
    """The log: a row an impression, in Parquet files or globs of them."""

    path: str | tuple[str, ...] = Field(description="file, glob, or list of them")
    id: str | None = Field(default=None, description="column that identifies an impression")
    time: str | None = Field(default=None, description="column of the impression's time")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(
        default=None, description="unit of an integer time since 1970; none for timestamps"
    )
    day: str | None = Field(default=None, description="column of the day; default: the day of time")
    zone: str | None = Field(default=None, description="time zone in which a day begins")
    where: str | None = Field(default=None, description="rows to keep, in the labels' grammar")
    duplicates: Literal["keep", "drop"] = Field(
        default="keep", description="of rows with one id, or without id equal in every column"
    )

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, value: str | None) -> str | None:
        return checked_zone(value)

    @model_validator(mode="after")
    def _day_is_defined(self) -> "Impressions":
        if self.time and not self.day and not self.zone:
            raise ValueError("time without day needs zone, e.g. zone = \"UTC\": a day begins somewhere")
        if self.unit and not self.time:
            raise ValueError("unit is the unit of time: name the time column")
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path


class Join(Config):
    """A side table: its columns are added to the impressions, of one row a key at most.

    With `valid_from` a key may have many rows, each valid until the next one is.
    """

    path: str
    on: str | tuple[str, ...]
    side: Literal["user", "item", "context"] = "context"
    valid_from: str | None = Field(default=None, description="column of the time from which a row holds")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(
        default=None, description="unit of an integer valid_from since 1970; none for timestamps"
    )
    at: Literal["impression", "latest"] = Field(
        default="impression", description="which row: that valid at the impression's time, or the last"
    )
    where: str | None = Field(default=None, description="rows to keep, in the labels' grammar")

    @model_validator(mode="after")
    def _history_has_times(self) -> "Join":
        if self.valid_from is None and (self.unit or self.at == "latest"):
            raise ValueError(
                'unit and at are about valid_from: name the column of the time from which a row holds'
            )
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.on,) if isinstance(self.on, str) else self.on


class TimeSplit(Config):
    """train < valid ≤ … < test ≤ … ≤ end: days (2022-05-03), or timestamps in the log's zone."""

    valid: str
    test: str
    start: str | None = Field(default=None, description="first day or time of train")
    end: str | None = Field(default=None, description="last day or time of test, included")

    @field_validator("valid", "test", "start", "end", mode="before")
    @classmethod
    def _is_day_or_time(cls, value: object) -> object:
        return written(value)

    @model_validator(mode="after")
    def _ordered(self) -> "TimeSplit":
        stops = [s for s in (self.start, self.valid, self.test, self.end) if s is not None]
        times = [datetime.fromisoformat(s).replace(tzinfo=None) for s in stops]
        if times != sorted(times) or self.valid == self.test:
            raise ValueError(f"start < valid < test <= end is needed, found {' , '.join(stops)}")
        return self

    @property
    def by_day(self) -> bool:
        """Whether all stops are whole days, so that the day column decides."""
        return all(len(s) == 10 for s in (self.start, self.valid, self.test, self.end) if s)


class FileSplit(Config):
    """Files per part: names or globs matched against the end of a file's path.

    Without `valid` files, `valid_fraction` of the rows of `valid_from` become valid, by hash.
    """

    train: str
    test: str
    valid: str | None = None
    valid_from: Literal["train", "test"] = "train"
    valid_fraction: float = Field(default=0.0, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _valid_comes_from_somewhere(self) -> "FileSplit":
        if (self.valid is None) == (self.valid_fraction == 0.0):
            raise ValueError("give either valid (files) or valid_fraction (of valid_from)")
        return self


class HashSplit(Config):
    """Rows by a hash of named columns: rows that agree in them fall in the same part."""

    hash: tuple[str, ...] = Field(min_length=1)
    valid: float = Field(gt=0.0, lt=1.0)
    test: float = Field(gt=0.0, lt=1.0)

    @model_validator(mode="after")
    def _train_remains(self) -> "HashSplit":
        if self.valid + self.test >= 1.0:
            raise ValueError("valid + test must leave rows for train")
        return self


class FilesSplit(Config):
    """`split = { files = { train = …, test = … } }`."""

    files: FileSplit


Split = HashSplit | FilesSplit | TimeSplit


class Data(Config):
    """The `[data]` section."""

    impressions: Impressions
    keys: tuple[str, ...] = Field(default=(), description="columns carried along to the scores")
    split: Split
    outcomes: tuple[str, ...] = Field(default=(), description="columns or patterns never features")
    joins: tuple[Join, ...] = ()
    weight: str | None = Field(default=None, description="column of row weights in the loss")
    half_life: str | None = Field(
        default=None, description='age at which a train row counts half, e.g. "7 days"',
        exclude_if=lambda value: value is None,  # files that do not name it keep their digest
    )
    group: str | None = Field(default=None, description="column whose rows are resampled together")
    together: str | None = Field(
        default=None, description="column, of a user or a request, whose rows a batch holds together",
        exclude_if=lambda value: value is None,  # files that do not name it keep their digest
    )
    engine: Literal["duckdb", "spark"] = Field(default="duckdb", description="what runs the SQL")
    memory_limit: str | None = Field(default=None, description="DuckDB's, e.g. \"1GB\"")
    spill: str | None = Field(default=None, description="folder for what does not fit; default: TMPDIR")
    events: dict[str, Event] = Field(default_factory=dict, description="logs of what came of impressions")
    as_of: str | None = Field(default=None, description="what was known then; default: all there is")

    @field_validator("split", mode="before")
    @classmethod
    def _one_form(cls, value: object) -> object:
        """Choose the form by its key, so that an error speaks of one form only."""
        if isinstance(value, dict):
            form = HashSplit if "hash" in value else FilesSplit if "files" in value else TimeSplit
            return form.model_validate(value)
        return value

    @field_validator("half_life", mode="before")
    @classmethod
    def _is_duration(cls, value: object) -> object:
        if value is not None:
            duration(value)
        return value

    @field_validator("as_of", mode="before")
    @classmethod
    def _is_time(cls, value: object) -> object:
        text = written(value)
        if isinstance(text, str) and not 1990 <= datetime.fromisoformat(text).year <= 2100:
            raise ValueError(f"{text!r} is no time from 1990 to 2100")
        return text

    @model_validator(mode="after")
    def _events_meet_a_time(self) -> "Data":
        check_events(self.events)
        for key, given in (("events", self.events), ("as_of", self.as_of)):
            if given and not self.impressions.time:
                raise ValueError(f"{key} needs impressions.time: when an impression was shown")
        if self.as_of and not (datetime.fromisoformat(self.as_of).tzinfo or self.impressions.zone):
            raise ValueError('as_of needs an offset, e.g. "2026-03-11T00:00:00Z", or impressions.zone')
        return self

    @model_validator(mode="after")
    def _histories_meet_a_time(self) -> "Data":
        for number, join in enumerate(self.joins):
            if join.valid_from and join.at == "impression" and not self.impressions.time:
                raise ValueError(
                    f"joins[{number}].valid_from is met at the impression's time: name impressions.time"
                )
        return self

    @model_validator(mode="after")
    def _time_split_has_a_time(self) -> "Data":
        if isinstance(self.split, TimeSplit):
            if self.split.by_day and not (self.impressions.day or self.impressions.time):
                raise ValueError("split by day needs impressions.day or impressions.time")
            if not self.split.by_day and not self.impressions.time:
                raise ValueError("split by timestamp needs impressions.time")
        return self

    @model_validator(mode="after")
    def _ages_count_from_a_day(self) -> "Data":
        if self.half_life and not isinstance(self.split, TimeSplit):
            raise ValueError(
                "half_life: a row's age is counted back from the first day of valid, which this split "
                'does not name: split by day or time, e.g. { valid = "2022-05-03", test = "2022-05-04" }'
            )
        return self

    @property
    def half_life_days(self) -> float | None:
        """In days, as `half_life` says it."""
        return duration(self.half_life) / 86400 if self.half_life else None
