"""Weights on disk: safetensors, written atomically, nothing unpickled."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from recmtl.errors import RecmtlError


def save_weights(model: nn.Module, file: Path) -> None:
    """Every parameter and buffer, by name, under a temporary name and then renamed."""
    temporary = file.with_name(f".{file.name}.tmp")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file({n: t.detach().contiguous() for n, t in model.state_dict().items()}, temporary)
        temporary.replace(file)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise RecmtlError(f"could not be written: {error}", where=file) from error


def load_weights(model: nn.Module, file: Path, device: str | torch.device = "cpu") -> None:
    """Load into `model`. Raises RecmtlError where names or shapes differ, naming them."""
    try:
        found = load_file(file, device=str(device))
    except (OSError, SafetensorError) as error:
        raise RecmtlError(f"cannot be read as weights: {error}", where=file) from error
    expected = model.state_dict()
    odd = sorted(found.keys() ^ expected.keys())
    odd += [n for n in found.keys() & expected.keys() if found[n].shape != expected[n].shape]
    if odd:
        raise RecmtlError(
            "these weights belong to another model or encoder", where=file,
            expected=f"{len(expected)} tensors of this model's shapes",
            found="differing: " + ", ".join(odd[:5]) + ("…" if len(odd) > 5 else ""),
        )
    model.load_state_dict(found)
