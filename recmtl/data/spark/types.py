"""Names of types: DuckDB's, in which ingest speaks, and Spark's."""

from pyspark.sql import types
from sqlglot import exp

_WIDER = {"UTINYINT": "SMALLINT", "USMALLINT": "INT", "UINTEGER": "BIGINT", "UBIGINT": "DECIMAL(20, 0)",
          "HUGEINT": "DECIMAL(38, 0)", "TIMESTAMP_NS": "BIGINT", '"NULL"': "INT"}
_KNOWN = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BOOLEAN", "DATE",
          "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "BLOB", *_WIDER}
_DUCK: dict[type[types.DataType], str] = {
    types.ByteType: "TINYINT", types.ShortType: "SMALLINT", types.IntegerType: "INTEGER",
    types.LongType: "BIGINT", types.FloatType: "FLOAT", types.DoubleType: "DOUBLE",
    types.StringType: "VARCHAR", types.BooleanType: "BOOLEAN", types.DateType: "DATE",
    types.TimestampNTZType: "TIMESTAMP", types.TimestampType: "TIMESTAMP WITH TIME ZONE",
    types.NullType: '"NULL"', types.BinaryType: "BLOB",
}


def spark_type(kind: str) -> str | None:
    """The type that Spark reads such a column as; None where it cannot."""
    if kind.endswith("[]"):
        inner = spark_type(kind.removesuffix("[]"))
        return inner and f"ARRAY<{inner}>"
    if not (kind in _KNOWN or kind.startswith("DECIMAL")):
        return None
    return exp.DataType.build(_WIDER.get(kind, kind), dialect="duckdb").sql(dialect="spark")


def duck_type(kind: types.DataType) -> str:
    """The type that DuckDB finds in what Spark writes."""
    if isinstance(kind, types.ArrayType):
        return f"{duck_type(kind.elementType)}[]"
    if isinstance(kind, types.DecimalType):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return _DUCK[type(kind)]
