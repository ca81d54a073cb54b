"""Three logs read, joined and written by day with bare DuckDB: what ingest is measured against.

    python bare.py partition|days LOGS OUT

`partition` is one statement with PARTITION_BY, which runs out of memory with 1 GB, so that it gets 2;
`days` is a statement a day. The joins are bare, too: no window, no event once, no last touch; rows come
in any order, and no file is checked.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import duckdb

JOIN = """
    SELECT i.*, CAST(c.impression_id IS NOT NULL AS TINYINT) AS click,
        CAST(v.user_id IS NOT NULL AS TINYINT) AS converted, coalesce(v.spent, 0) AS spent
    FROM read_parquet('{logs}/impressions/*.parquet') AS i
    LEFT JOIN (
        SELECT impression_id FROM read_parquet('{logs}/clicks/*.parquet') GROUP BY ALL
    ) AS c USING (impression_id)
    LEFT JOIN (
        SELECT user_id, item_id, sum(amount) AS spent
        FROM read_parquet('{logs}/conversions/*.parquet') GROUP BY ALL
    ) AS v USING (user_id, item_id)
"""
DAYS = "SELECT DISTINCT CAST(ts AS DATE) FROM read_parquet('{logs}/impressions/*.parquet')"
WRITE = "FORMAT parquet, COMPRESSION zstd"


def write(db: duckdb.DuckDBPyConnection, form: str, logs: Path, out: Path) -> None:
    join = JOIN.format(logs=logs)
    if form == "partition":
        dated = f"SELECT *, CAST(ts AS DATE) AS dt FROM ({join})"
        db.execute(f"COPY ({dated}) TO '{out}' ({WRITE}, PARTITION_BY (dt))")
        return
    for (day,) in db.execute(DAYS.format(logs=logs)).fetchall():
        folder = out / f"dt={day}"
        folder.mkdir(parents=True)
        of_day = f"SELECT * FROM ({join}) WHERE CAST(ts AS DATE) = DATE '{day}'"
        db.execute(f"COPY ({of_day}) TO '{folder}/part.parquet' ({WRITE})")


def main() -> None:
    form, logs, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    start = time.perf_counter()
    db = duckdb.connect(config={"temp_directory": str(out.with_name(f"spill-{os.getpid()}"))})
    db.execute(f"SET memory_limit = '{'2GB' if form == 'partition' else '1GB'}'")
    db.execute("SET preserve_insertion_order = false")
    write(db, form, logs, out)
    db.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "seconds": time.perf_counter() - start, "peak_bytes": used.ru_maxrss * 1024,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }))


if __name__ == "__main__":
    main()
