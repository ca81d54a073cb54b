"""TorchRec's part, the one file that imports it: a plan, and a sharded collection of tables a width."""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_training import WeightDecayMode
from torch import Tensor, nn
from torchrec.distributed.comm_ops import set_gradient_division
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import ParameterConstraints, PlannerError
from torchrec.distributed.types import ShardingEnv, ShardingType
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from recmtl.batch import Layout
from recmtl.errors import RecmtlError
from recmtl.learn.settings import TrainConfig
from recmtl.learn.sharded.scattered import Piece, Scattered

EPS = 1e-8  # as RowAdagrad's
RESERVED = 0.15  # of the memory, for all but tables
_log = logging.getLogger("recmtl")


@dataclass(frozen=True)
class Collection:
    """The rows of one width: `copies` tables of equal rows, sharded, with their accumulators."""

    sharded: nn.Module
    tables: tuple[str, ...]
    weights: Scattered  # (rows, copies · width)
    squares: Scattered  # (rows, copies)

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows (U,) from whoever holds them, (U, copies · width); gradients go the same way back."""
        asked = KeyedJaggedTensor(
            keys=list(self.tables), values=rows.long().repeat(len(self.tables)),
            lengths=torch.full((len(self.tables),), len(rows), dtype=torch.int32, device=rows.device),
        )
        found = self.sharded(asked)
        return torch.cat([found[table].values() for table in self.tables], dim=1)


def shard(
    layout: Layout, copies: int, config: TrainConfig, device: torch.device
) -> dict[int, Collection]:
    """Width → its tables, not filled yet, laid out over all processes, which call this together.

    Raises RecmtlError where their memory is too small for them.
    """
    for name in ("torchrec", "torch.fx._symbolic_trace"):
        logging.getLogger(name).setLevel(logging.ERROR)  # remarks on how TorchRec itself is made
    set_gradient_division(False)  # losses are parts of a sum, no means of their own
    names = {w: tuple(f"width_{w}_{copy}" for copy in range(copies)) for w in layout.tables}
    whole = nn.ModuleDict({
        str(width): EmbeddingCollection(
            [EmbeddingConfig(name=name, embedding_dim=width, num_embeddings=rows, feature_names=[name])
             for name in names[width]], torch.device("meta"),
        )
        for width, rows in layout.tables.items()
    })
    sharder = EmbeddingCollectionSharder({
        "optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "eps": EPS,
        "learning_rate": config.table_learning_rate, "weight_decay": config.table_l2,
        "weight_decay_mode": WeightDecayMode.L2 if config.table_l2 else WeightDecayMode.NONE,
    })
    plan = _plan(whole, sharder, _constraints(layout, names, config), config, device)
    environment, found = ShardingEnv.from_process_group(dist.group.WORLD), {}
    for width in layout.tables:
        _tell(plan[str(width)])
        made = sharder.shard(whole[str(width)], plan[str(width)], environment, device)
        found[width] = _collection(made, width, names[width], device)
    return found


def _plan(
    whole: nn.Module, sharder: Any, constraints: Mapping[str, Any], config: TrainConfig,
    device: torch.device,
) -> Mapping[str, Any]:
    """Width → where the rows of its tables are to lie."""
    planner = EmbeddingShardingPlanner(
        topology=_topology(device), batch_size=config.batch_size, debug=False, constraints=constraints,
        storage_reservation=FixedPercentageStorageReservation(RESERVED),
    )
    try:
        plan: Mapping[str, Any] = planner.collective_plan(whole, [sharder], dist.group.WORLD).plan
    except PlannerError as error:
        raise RecmtlError(
            "TorchRec's planner finds no room for the tables", where="train.sharded_tables",
            found=str(error).partition("Last planner error")[0].strip(),
            fix="train in more processes, or with smaller tables (width, min_count)",
        ) from error
    return plan


def _constraints(
    layout: Layout, names: Mapping[int, tuple[str, ...]], config: TrainConfig
) -> dict[str, Any]:
    """Table → what its plan may be, and how often it is read for a row of a batch."""
    kinds = [ShardingType.ROW_WISE, ShardingType.TABLE_WISE]
    allowed = [k.value for k in kinds if config.sharded_tables in ("planned", k.value)]
    found = {}
    for width, tables in names.items():
        reads = sum(slot.width == width for slot in (*layout.slots, *layout.lists))
        for table in tables:
            found[table] = ParameterConstraints(
                sharding_types=allowed, compute_kernels=["fused"], pooling_factors=[float(reads)]
            )
    return found


def _topology(device: torch.device) -> Any:
    """The group with the memory that its first process sees, which makes the plan for all."""
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", dist.get_world_size()))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // beside
    card = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    return Topology(
        world_size=dist.get_world_size(), compute_device=device.type, local_world_size=beside,
        hbm_cap=card, ddr_cap=memory,
    )


def _tell(plan: Mapping[str, Any]) -> None:
    for table, sharding in plan.items():
        parts = ", ".join(
            f"{shard.shard_sizes[0]} on process {shard.placement.rank()}"
            for shard in sharding.sharding_spec.shards
        )
        _log.info("table %s: %s by TorchRec, rows: %s", table, sharding.sharding_type, parts)


def _collection(
    made: Any, width: int, tables: tuple[str, ...], device: torch.device
) -> Collection:
    weights, squares = made.state_dict(), made.fused_optimizer.state_dict()["state"]
    of_weights: list[Piece] = []
    of_squares: list[Piece] = []
    for copy, table in enumerate(tables):
        name = f"embeddings.{table}.weight"
        held = squares.get(name, {}).get(f"{table}.momentum1")
        of_weights += _pieces(weights[name], weights[name], copy * width, width)
        of_squares += _pieces(weights[name], held, copy, 1)
    rows = weights[f"embeddings.{tables[0]}.weight"].metadata().size[0]
    return Collection(
        made, tables, Scattered((rows, len(tables) * width), of_weights, device),
        Scattered((rows, len(tables)), of_squares, device),
    )


def _pieces(layout: Any, values: Any, column: int, columns: int) -> Iterator[Piece]:
    """The pieces of a matrix that lies as the sharded `layout` does; `values` are those held here."""
    held = {
        shard.metadata.shard_offsets[0]: shard.tensor.detach().view(-1, columns)
        for shard in (values.local_shards() if values is not None else ())
    }
    for shard in layout.metadata().shards_metadata:
        rank, first, rows = shard.placement.rank(), shard.shard_offsets[0], shard.shard_sizes[0]
        here = held.get(first) if rank == dist.get_rank() else None
        yield Piece(rank, first, rows, slice(column, column + columns), here)
