"""A session of Spark, as the environment configures it, that computes as DuckDB does."""

import logging
import os
import warnings

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from recmtl.errors import RecmtlError

# Times are in UTC, those without a zone have none, and what does not fit is an error, never a null.
_SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.caseSensitive": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}


def open_session() -> SparkSession:
    """A session with views of its own in the application of this process, which starts if need be.

    Master and options come from Spark's own places: SPARK_MASTER, PYSPARK_SUBMIT_ARGS, SPARK_CONF_DIR,
    SPARK_HOME. Raises RecmtlError where Spark does not start.
    """
    # what Spark's exceptions say is said once, by a RecmtlError
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    # no frame of pandas goes to Spark or comes from it
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    builder = SparkSession.Builder().appName("recmtl").config("spark.ui.showConsoleProgress", "false")
    if master := os.environ.get("SPARK_MASTER"):
        builder = builder.master(master)
    try:
        session = builder.getOrCreate().newSession()
    except (PySparkException, OSError) as error:
        raise RecmtlError(
            f"Spark does not start: {str(error).partition(chr(10))[0]}", where="data.engine",
            fix="install Java 17 or later and set JAVA_HOME; see Spark's own message above",
        ) from error
    for key, value in _SETTINGS.items():
        session.conf.set(key, value)
    return session
