"""Every test that ingests, on Spark and beside it on DuckDB: `pytest -p tests.engines.plugin`."""
