"""Parts from installed packages: found by entry point, loaded where a file names one, and checked.

A part is a class of options, as the built-in ones are, with a base of its own: a sharing, a relation, a
loss, a metric, a kind of feature. Its package names it under the group of that base,

    [project.entry-points."recmtl.sharings"]
    sum = "shop_parts:Sum"

and a file names it by `kind`, as any other.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Union, get_args

from pydantic import BaseModel, GetCoreSchemaHandler, SerializerFunctionWrapHandler, ValidationError
from pydantic_core import core_schema

from recmtl.errors import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS = ("recmtl.sharings", "recmtl.relations", "recmtl.losses", "recmtl.metrics", "recmtl.features")


@dataclass(frozen=True)
class Package:
    """What a file needs beside recmtl, and for which kind."""

    group: str
    kind: str
    package: str
    version: str

    @property
    def told(self) -> str:
        return f"{self.package} {self.version} (its {self.group.removeprefix('recmtl.')} {self.kind!r})"


@dataclass(frozen=True)
class Plugged:
    """Beside a union of classes in an annotation: a `kind` of none of them is looked for in packages.

    A class that is found must be of `base`, concrete, and of the kind that its entry point says. `base`
    may stand in the union for what is found; `reserved` are names of what recmtl has without a class.
    """

    group: str
    base: type[BaseModel]
    reserved: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(
        self, union: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        own = [each for each in classes_of(union) if each is not self.base]
        kinds = {str(each.model_fields["kind"].default) for each in own}

        def validated(value: Any, inner: Callable[[Any], Any]) -> Any:
            if isinstance(value, self.base) and type(value) not in own:
                return value
            kind = value.get("kind") if isinstance(value, Mapping) else None
            if not isinstance(kind, str):
                return inner(value)
            self._refuse_clashes(kind, kinds)
            if kind in _found(self.group):
                return _made(self._loaded(kind), value)
            if kind in self.reserved:
                raise ValueError(f"{kind!r} is recmtl's own, and there without being named")
            if kind not in kinds:
                known = {*kinds, *_found(self.group)}
                raise ValueError(f"no kind {kind!r}; {nearest(kind, known)}")
            return inner(value)

        def dumped(
            value: Any, inner: SerializerFunctionWrapHandler, info: core_schema.SerializationInfo
        ) -> Any:
            plain = not isinstance(value, self.base) or type(value) in own
            return inner(value) if plain else value.model_dump(mode=info.mode)

        parts = [part for part in get_args(union) if part is not self.base]
        schema = handler(Union[tuple(parts)] if own else self.base)  # noqa: UP007
        return core_schema.no_info_wrap_validator_function(
            validated, schema, serialization=core_schema.wrap_serializer_function_ser_schema(
                dumped, info_arg=True, schema=schema
            )
        )

    def _refuse_clashes(self, kind: str, kinds: set[str]) -> None:
        points = _found(self.group).get(kind, ())
        if points and kind in {*kinds, *self.reserved}:
            raise ValueError(f"{_where(points[0])}: the name {kind!r} is recmtl's own; {_RENAME}")
        if len(points) > 1:
            raise ValueError(f"{' and '.join(map(_where, points))} have one name; uninstall one of them")

    def _loaded(self, kind: str) -> type[BaseModel]:
        (point,) = _found(self.group)[kind]
        try:
            found = point.load()
        except Exception as error:  # whatever a package does when it is imported
            raise ValueError(
                f"{_where(point)}: cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, self.base)):
            whole = f"{self.base.__module__}.{self.base.__qualname__}"
            raise ValueError(f"{_where(point)}: is no class derived from {whole}")
        if inspect.isabstract(found):
            lacks = ", ".join(sorted(found.__abstractmethods__))
            raise ValueError(f"{_where(point)}: lacks {lacks}")
        field = found.model_fields.get("kind")
        if field is None or field.default != kind:
            wanted = f'kind: Literal["{kind}"] = "{kind}"'
            raise ValueError(f"{_where(point)}: has another kind; write {wanted} in its class")
        return found


_RENAME = "its package has to give it another"


def classes_of(annotation: Any) -> list[type[BaseModel]]:
    """The classes of options that a value of this annotation may have, plug-ins apart."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in classes_of(part)]


def needed(value: object) -> tuple[Package, ...]:
    """The packages of the plug-ins that a configuration names, each once a kind."""
    kinds = dict.fromkeys(
        (type(part), str(getattr(part, "kind", ""))) for part in _parts(value)
        if type(part).__module__.partition(".")[0] != "recmtl"
    )
    return tuple(
        package for own, kind in kinds for group in GROUPS
        for point in _found(group).get(kind, ()) if point.load() is own
        for package in [Package(group, kind, *_package(point))]
    )


def missing(package: Package) -> bool:
    """Whether no installed package has this kind."""
    return package.kind not in _found(package.group)


def _parts(value: object) -> Iterator[BaseModel]:
    """Every configuration in a configuration."""
    if isinstance(value, BaseModel):
        yield value
        value = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _parts(each)


def _made(own: type[BaseModel], value: Mapping[str, Any]) -> BaseModel:
    try:
        return own.model_validate(value)
    except ValidationError as error:
        for item in error.errors():
            if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
                key = str(item["loc"][0])
                raise ValueError(f"{key}: unknown key; {nearest(key, own.model_fields)}") from None
        raise


def _found(group: str) -> Mapping[str, tuple["EntryPoint", ...]]:
    import sys

    return _scanned(tuple(sys.path)).get(group, {})


@cache
def _scanned(path: tuple[str, ...]) -> Mapping[str, Mapping[str, tuple["EntryPoint", ...]]]:
    """Group → name → entry points, of what is installed on this path; no package is imported."""
    from importlib.metadata import entry_points

    found: dict[str, dict[str, tuple[EntryPoint, ...]]] = {}
    points = entry_points()
    for group in GROUPS:
        for point in points.select(group=group):
            named = found.setdefault(group, {})
            named[point.name] = (*named.get(point.name, ()), point)
    return found


def _package(point: "EntryPoint") -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("?", "?")


def _where(point: "EntryPoint") -> str:
    return f"the package {' '.join(_package(point))} ({point.group}: {point.name} = {point.value})"
