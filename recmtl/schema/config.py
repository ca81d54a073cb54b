"""The base of every configuration class, and the meaning of a path in a file."""

import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from recmtl.errors import RecmtlError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Config(BaseModel):
    """A frozen value that refuses unknown keys; it holds no torch."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def expand(path: str, root: Path) -> str:
    """`path` with `${VARIABLES}` filled in, relative to `root`; URLs stay as they are."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise RecmtlError(
                f"the environment variable {name} is not set",
                where=path, fix=f"export {name}=… (a folder)",
            )
        return os.environ[name]

    filled = _VARIABLE.sub(value, path)
    return filled if "://" in filled else os.path.normpath(os.path.join(root, filled))
