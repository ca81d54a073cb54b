"""Spark as an engine: DuckDB's statements in, run as Spark SQL; the only importer of pyspark."""
