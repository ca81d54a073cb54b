"""Parts written side by side: a connection with the view `examples` and pieces go in, files come out.

A query of one thread that looks rows up in tables keeps the order of the files, so that a thread a
part needs no sort, which would cost a third of the writing. That is checked on each part, and one that
is not in order is written again, sorted.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from duckdb import DuckDBPyConnection
from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.table import narrow
from recmtl.data.logs.view import examples_view
from recmtl.data.logs.write import Piece, in_order, write_piece
from recmtl.data.query import statement

Write = Callable[[Sequence[Piece]], Iterator[Piece]]
_SWAPS = "join_order,build_side_probe_side"  # what may look the log up in the other table
_LOOKED_UP = 4_000_000  # rows of side tables: each thread holds them for itself


@contextmanager
def writing(db: Database, plan: Plan, side_rows: int) -> Iterator[Write]:
    """Yield a function that writes pieces and gives each back in its turn, written.

    `side_rows` are those of the side tables. Where they are too many, and on an engine that has its own
    ways, pieces are written one after the other, sorted.
    """
    if not isinstance(db, DuckDBPyConnection) or _threads(db) * side_rows > _LOOKED_UP:
        yield lambda pieces: (_sorted(db, piece) for piece in pieces)
        return
    with _connections(db, plan) as free, ThreadPoolExecutor(free.qsize()) as pool:

        def write(piece: Piece) -> Piece:
            own = free.get()
            try:
                write_piece(own, piece, sort=False)
                return piece if in_order(piece.target) else _sorted(own, piece)
            finally:
                free.put(own)

        yield lambda pieces: pool.map(write, pieces)


@contextmanager
def _connections(
    db: DuckDBPyConnection, plan: Plan
) -> Iterator[SimpleQueue[DuckDBPyConnection]]:
    """As many connections as there are threads; each works with one."""
    threads, free = _threads(db), SimpleQueue[DuckDBPyConnection]()
    _share_tables(db)
    db.execute(f"SET threads = 1; SET disabled_optimizers = '{_SWAPS}'")
    try:
        for _ in range(threads):
            free.put(_another(db, plan))
        yield free
    finally:
        db.execute(f"SET threads = {threads}; RESET disabled_optimizers")
        while not free.empty():
            free.get().close()


def _threads(db: DuckDBPyConnection) -> int:
    ((threads,),) = db.execute("SELECT current_setting('threads')").fetchall()
    return int(threads)


def _sorted(db: Database, piece: Piece) -> Piece:
    write_piece(db, piece, sort=True)
    return piece


def _share_tables(db: DuckDBPyConnection) -> None:
    """Let other connections see the tables that are this one's alone."""
    found = db.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
    for (name,) in found:
        own, shared = (exp.to_table(f"{home}.{name}") for home in ("temp", "memory.main"))
        db.execute(statement("share_table", own=own, shared=shared))
        db.execute(statement("attribute_done", scratch=own))


def _another(db: DuckDBPyConnection, plan: Plan) -> DuckDBPyConnection:
    """Another connection to the same database, with the views that `examples` reads."""
    own = db.cursor()
    views = db.execute(
        "SELECT sql FROM duckdb_views() WHERE temporary AND NOT internal "
        "AND (view_name LIKE 'side_%' OR view_name LIKE 'every_side_%') "
        "ORDER BY view_name"  # every_side_0, which side_0 reads, comes first
    ).fetchall()
    for (view,) in views:
        own.execute(view)
    narrow(own, "log", plan.log.files[:1])
    own.execute(examples_view(plan))
    return own
