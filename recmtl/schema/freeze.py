"""Which parts of a model stand still at first, as a file names them."""

from collections.abc import Mapping, Sequence

from pydantic import Field, NonNegativeInt, PositiveInt

from recmtl.errors import nearest
from recmtl.schema.config import Config


class Freeze(Config):
    """The number of epochs, from the first on, in which a part keeps its first weights."""

    tables: NonNegativeInt = Field(default=0, description="of all embeddings")
    sharing: NonNegativeInt = 0
    relation: NonNegativeInt = Field(default=0, description="where it learns")
    towers: NonNegativeInt | dict[str, PositiveInt] = Field(default=0, description="all, or by task")

    def of_towers(self, names: Sequence[str]) -> Mapping[str, int]:
        """The epochs of each of these towers."""
        if isinstance(self.towers, int):
            return dict.fromkeys(names, self.towers)
        return {name: self.towers.get(name, 0) for name in names}

    def refusal(self, towers: Sequence[str], epochs: int, sharded: bool) -> str | None:
        """Why not a model with these towers, trained for so many epochs; None where it can be."""
        if isinstance(self.towers, dict):
            unknown = [name for name in self.towers if name not in towers]
            if unknown:
                return f"freeze.towers: no tower {unknown[0]!r}; {nearest(unknown[0], towers)}"
        of_towers = self.of_towers(towers)
        longest = max(self.tables, self.sharing, self.relation, *of_towers.values())
        if longest >= epochs:
            return f"freeze: a part that stands still for {longest} epochs of {epochs} is never trained"
        if min(self.tables, self.sharing, *of_towers.values()) > 0:
            return "freeze: nothing is trained in the first epoch; leave tables, sharing or a tower out"
        if self.tables and sharded:
            return "freeze.tables: sharded tables move in the backward pass; drop train.sharded_tables"
        return None
