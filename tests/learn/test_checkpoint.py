"""What is written is read by the safetensors library itself, and scattered rows find their places."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from recmtl.errors import RecmtlError
from recmtl.learn.checkpoint import load_weights, map_weights, save_weights, write_tensors
from recmtl.learn.sharded import scattered
from recmtl.learn.sharded.scattered import Piece, Scattered
from recmtl.learn.sharded.tables import _drawn_together


def test_every_kind_of_tensor_is_read_by_the_library(tmp_path: Path) -> None:
    tensors = {
        "odd bytes": torch.arange(7, dtype=torch.uint8), "scalar": torch.tensor(3.5),
        "half": torch.randn(3, 5).bfloat16(), "double": torch.randn(2, 2).double(),
        "none": torch.empty(0, 4), "turned": torch.randn(4, 3).t(), "flags": torch.tensor([True, False]),
        "whole": torch.tensor([2**40]),
    }
    write_tensors(tensors, tmp_path / "file")
    found = load_file(tmp_path / "file")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


def test_weights_are_copied_or_mapped(tmp_path: Path) -> None:
    made, read = nn.Linear(3, 2), nn.Linear(3, 2)
    save_weights(made, tmp_path / "weights")
    load_weights(read, tmp_path / "weights")
    with torch.device("meta"):
        mapped = nn.Linear(3, 2)
    map_weights(mapped, tmp_path / "weights")
    for other in (read, mapped):
        assert torch.equal(other.weight, made.weight) and torch.equal(other.bias, made.bias)
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


@pytest.mark.parametrize("read", [load_weights, map_weights])
def test_weights_of_another_model_are_refused(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    save_weights(nn.Linear(3, 2), tmp_path / "weights")
    with pytest.raises(RecmtlError, match="differing: weight"):
        read(nn.Linear(4, 2), tmp_path / "weights")
    (tmp_path / "weights").write_bytes(b"nothing")
    with pytest.raises(RecmtlError, match="cannot be read as weights"):
        read(nn.Linear(3, 2), tmp_path / "weights")


def pieces() -> list[tuple[int, int, slice]]:
    """Of 10 rows with 4 columns: rows 0 to 5 and 6 to 9 of columns 0 and 1, all of columns 2 and 3."""
    return [(0, 6, slice(0, 2)), (6, 4, slice(0, 2)), (0, 10, slice(2, 4))]


@pytest.mark.parametrize("owner", [0, 1, 2])
@pytest.mark.parametrize("block", [1, 4, 100])
def test_each_process_takes_its_rows_alone(
    owner: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scattered, "BLOCK_ROWS", block)
    whole, (first, rows, columns) = torch.arange(40.0).view(10, 4), pieces()[owner]

    def of(held: Tensor) -> Scattered:
        laid_out = [
            Piece(rank, *piece, held if rank == owner else None) for rank, piece in enumerate(pieces())
        ]
        return Scattered((10, 4), laid_out, torch.device("cpu"))

    read, drawn = torch.empty(rows, 2), torch.empty(rows, 2)
    of(read).fill(whole)
    for begin in range(0, 10, 3):
        of(drawn).put(begin, whole[begin : begin + 3])
    assert torch.equal(read, whole[first : first + rows, columns])
    assert torch.equal(drawn, read)


@pytest.mark.parametrize(("rows", "columns"), [(5, 2), (999, 3), (70_000, 8), (131_089, 4), (131_073, 1)])
def test_weights_drawn_in_blocks_are_those_drawn_at_once(rows: int, columns: int) -> None:
    torch.manual_seed(4)
    whole, after = torch.randn(rows, columns), torch.rand(1)
    torch.manual_seed(4)
    blocks = [torch.randn(end - begin, columns) for begin, end in _drawn_together(rows)]
    assert torch.equal(torch.cat(blocks), whole) and torch.equal(torch.rand(1), after)
    assert max(map(len, blocks)) <= 2 * scattered.BLOCK_ROWS
