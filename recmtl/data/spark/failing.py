"""Spark's many exceptions as one."""

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from recmtl.data.database import Refusal


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what Spark raises inside into a Refusal."""
    try:
        yield
    except Py4JJavaError as error:
        raise Refusal(str(error.java_exception.getMessage())) from error
    except (PySparkException, Py4JError) as error:
        raise Refusal(str(error)) from error
