"""The application of Spark that tests share: local, small and quiet."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

OPTIONS = {
    "spark.ui.enabled": "false", "spark.log.level": "FATAL", "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
_NAME = "PYSPARK_SUBMIT_ARGS"


@contextmanager
def application() -> Iterator[None]:
    """Inside, the first ingest on Spark starts it; at the end it stops. One that runs already is used."""
    before = os.environ.get(_NAME)
    options = " ".join(f"--conf {key}={value}" for key, value in OPTIONS.items())
    os.environ[_NAME] = f"--master local[2] {options} pyspark-shell"
    try:
        yield
    finally:
        _stop()
        os.environ.pop(_NAME)
        os.environ |= {_NAME: before} if before else {}


def lacking() -> str | None:
    """What Spark needs and is not there."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        return "needs pyspark: pip install 'recmtl[spark]'"
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        return "needs Java: put it on the path, or set JAVA_HOME"
    return None


def need() -> None:
    """Skip the test, or all tests of a module, where Spark cannot run."""
    if reason := lacking():
        pytest.skip(reason)


def _stop() -> None:
    from pyspark.sql import SparkSession

    if running := SparkSession.getActiveSession():
        running.stop()
