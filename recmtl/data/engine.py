"""The engine that a configuration names, opened."""

from recmtl.data.database import Database
from recmtl.data.duck import connect
from recmtl.errors import RecmtlError
from recmtl.schema import Data


def open_engine(data: Data) -> Database:
    """DuckDB in this process, or a session of Spark. Raises RecmtlError where there is no Spark."""
    if data.engine == "duckdb":
        return connect(data.memory_limit)
    try:
        from recmtl.data.spark.connection import SparkConnection
        from recmtl.data.spark.session import open_session
    except ImportError as error:
        raise RecmtlError(
            f'engine = "spark" needs a package that is not installed: {error}', where="data.engine",
            fix="pip install 'recmtl[spark]', with Java 17 or later",
        ) from error

    return SparkConnection(open_session(), connect(data.memory_limit))
