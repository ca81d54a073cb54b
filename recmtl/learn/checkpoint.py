"""Tensors on disk: safetensors, written atomically, nothing unpickled.

Those of sharded tables are written whole, block by block, by the first process of a group.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from recmtl.errors import RecmtlError
from recmtl.learn.group import ALONE, Group
from recmtl.learn.sharded.scattered import Scattered

Stored = Tensor | Scattered
NAMES = {  # of the format
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16",
    torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL",
}


def write_tensors(tensors: Mapping[str, Stored], file: Path | None) -> None:
    """Write safetensors. In a group all processes call this, and only the first one names a file."""
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # aligned in the file
    with nullcontext() if file is None else file.open("wb") as out:
        if out:
            out.write(_header({name: tensors[name] for name in order}))
        for name in order:
            stored = tensors[name]
            for block in stored.blocks() if isinstance(stored, Scattered) else [stored]:
                if out:
                    out.write(_bytes(block))


def put_back(stored: Stored, file: Any, name: str) -> None:
    """Fill a tensor, or this process's part of one, from a file that safetensors has opened."""
    if isinstance(stored, Scattered):
        stored.fill(file.get_slice(name))
    else:
        stored.copy_(file.get_tensor(name))


def save_weights(model: nn.Module, file: Path, group: Group = ALONE) -> None:
    """Every parameter and buffer, by name, under a temporary name and then renamed.

    All processes of a group call this; when it returns, the file is there for each of them.
    """
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        if group.first:
            file.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(model.state_dict(), temporary if group.first else None)
        if group.first:
            temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RecmtlError(f"could not be written: {error}", where=file) from error
    group.agreed(True)


def load_weights(model: nn.Module, file: Path) -> None:
    """Load into `model`, of sharded tables this process's part.

    Raises RecmtlError where names or shapes differ, naming them.
    """
    with _opened(model, file) as (found, expected), torch.no_grad():
        for name, stored in expected.items():
            put_back(stored, found, name)


def map_weights(model: nn.Module, file: Path) -> None:
    """Let a model have a file's tensors in place of its own, read when they are used.

    Raises RecmtlError as `load_weights` does.
    """
    with _opened(model, file) as (found, expected):
        model.load_state_dict({name: found.get_tensor(name) for name in expected}, assign=True)


@contextmanager
def _opened(model: nn.Module, file: Path) -> Iterator[tuple[Any, Mapping[str, Stored]]]:
    """The file, opened, and what the model expects to find in it."""
    expected = model.state_dict()
    try:
        with safe_open(file, framework="pt") as found:
            shapes = {name: tuple(found.get_slice(name).get_shape()) for name in found.keys()}  # noqa: SIM118
            odd = sorted(shapes.keys() ^ expected.keys())
            odd += [n for n in shapes.keys() & expected.keys() if shapes[n] != expected[n].shape]
            if odd:
                raise RecmtlError(
                    "these weights belong to another model or encoder", where=file,
                    expected=f"{len(expected)} tensors of this model's shapes",
                    found="differing: " + ", ".join(odd[:5]) + ("…" if len(odd) > 5 else ""),
                )
            yield found, expected
    except (OSError, SafetensorError) as error:
        raise RecmtlError(f"cannot be read as weights: {error}", where=file) from error


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def _header(tensors: Mapping[str, Stored]) -> bytes:
    """Eight bytes of length, then each tensor's type, shape and place, in JSON."""
    entries, begin = {}, 0
    for name, stored in tensors.items():
        end = begin + prod(stored.shape) * stored.dtype.itemsize
        entries[name] = {
            "dtype": NAMES[stored.dtype], "shape": list(stored.shape), "data_offsets": [begin, end]
        }
        begin = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
