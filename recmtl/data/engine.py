"""The engine that a configuration names, opened."""

from duckdb import DuckDBPyConnection

from recmtl.data.database import Database
from recmtl.data.duck import connect
from recmtl.errors import RecmtlError
from recmtl.schema import Problem


def open_engine(problem: Problem, duck: DuckDBPyConnection | None = None) -> Database:
    """DuckDB in this process, `duck` where that is open, or a session of Spark, which closes it too.

    Raises RecmtlError where there is no Spark.
    """
    duck = duck or connect(problem.data.memory_limit, problem.spill)
    if problem.data.engine == "duckdb":
        return duck
    try:
        from recmtl.data.spark.connection import SparkConnection
        from recmtl.data.spark.session import open_session
    except ImportError as error:
        raise RecmtlError(
            f'engine = "spark" needs a package that is not installed: {error}', where="data.engine",
            fix="pip install 'recmtl[spark]', with Java 17 or later",
        ) from error

    return SparkConnection(open_session(), duck)
