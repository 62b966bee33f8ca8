#!/usr/bin/env python3
"""Runs the audit over a real Airflow that has run, was cleared, moved its path, lost an object and was cleaned.

    python3 test/airflow/audit.py --release 2.11.2 --release 3.3.2 --release 3.4.0b2

Holds what `audit --json` says against SQL over Airflow's tables and a listing of the bucket, after `airflow db clean` and
again after `airflow db drop-archived`; writes AUDIT.md; ends with 1 where a figure differs.
"""

import argparse
import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import exporter
import preflight
from deployment import BUCKET, Deployment
from releases import RELEASES, install
from scenarios import run_again
from services import S3, Postgres, Processes, Redis

DAG = "audited"
RESULTS = Path(__file__).resolve().parent / "AUDIT.md"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
REFERENCE = re.compile(rf"s3://(?:[^/@]*@)?{BUCKET}/([^\"]+)")
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
XCOM = re.compile(rf"^[^/]+/.+/[^/]+/({UUID}|(ti|write)-[0-9a-f-]{{36}}/[^/]+\.json)$")
TEN_DAYS = 10 * 86_400
BASES = ("xcom", "moved/deeper")


def named(postgres: Postgres, archives: bool) -> list[tuple[str, bool]]:
    """The key that each row names, and whether Airflow still reads the row; of archives or of the tables in use."""
    tables = postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for table in tables:
        if not re.search(r"^xcom(_v[12])?$|^_airflow_deleted__xcom", table) or table.startswith("_") != archives:
            continue
        columns = postgres.query(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'")
        kind = postgres.query(
            f"SELECT data_type FROM information_schema.columns WHERE table_name = '{table}' AND column_name = 'value'"
        )
        value = "convert_from(x.value, 'UTF8')" if kind == ["bytea"] else "x.value #>> '{}'"
        reads = "true"
        if "task_instance_id" in columns:
            reads = "EXISTS (SELECT FROM task_instance t WHERE t.id = x.task_instance_id AND t.working_set)"
        for row in postgres.rows(f'SELECT {value} AS value, {reads} AS reads FROM "{table}" x'):
            if match := REFERENCE.match((row["value"] or "").strip('"')):
                found.append((match[1], row["reads"]))
    return found


def is_xcom(key: str) -> bool:
    return any(key.startswith(f"{base}/") and XCOM.match(key[len(base) + 1 :]) for base in BASES)


def truth(airflow: Deployment) -> dict:
    """The figures by SQL and a listing, without a word of the audit."""
    objects = {entry["key"]: entry["bytes"] for entry in airflow.bucket("list")}
    rows, archived = named(airflow.postgres, archives=False), named(airflow.postgres, archives=True)
    names = {key for key, _ in rows + archived}
    orphaned = {key: size for key, size in objects.items() if key not in names and is_xcom(key)}
    return {
        "objects": len(objects),
        "bytes": sum(objects.values()),
        "named": len(names & objects.keys()),
        "orphaned": len(orphaned),
        "orphaned bytes": sum(orphaned.values()),
        "live": sum(key in objects for key, _ in rows),
        "missing": sum(key not in objects and reads for key, reads in rows),
        "archived": len(archived),
        "orphaned keys": sorted(orphaned),
        "missing keys": sorted({key for key, reads in rows if key not in objects and reads}),
    }


def said(main: Path, airflow: Deployment, out: Path) -> dict:
    """The same figures, as the audit gives them."""
    done = subprocess.run(
        ["node", str(main), "audit", "--json", "--out", str(out)],
        env=exporter.environment(airflow.worker_environment()), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"audit ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    answer = json.loads(done.stdout)
    objects, folder = answer["objects"], Path(answer["folder"])
    keys = {name: sorted(row["key"] for row in csv.DictReader((folder / f"{name}.csv").open())) for name in ("orphaned", "missing")}
    return {
        "objects": objects["all"]["objects"],
        "bytes": objects["all"]["bytes"],
        "named": objects["named"]["objects"],
        "orphaned": objects["orphaned"]["objects"],
        "orphaned bytes": objects["orphaned"]["bytes"],
        "live": answer["references"]["live"],
        "missing": answer["confirmed"]["missing"],
        "archived": answer["references"]["archived"],
        "orphaned keys": keys["orphaned"],
        "missing keys": keys["missing"],
    }


def age(bucket: Path) -> None:
    """The objects were put ten days ago: what is younger than an hour is not judged."""
    for path in bucket.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - TEN_DAYS
            os.utime(path, (then, then))


def live_key(airflow: Deployment, run: str) -> str:
    """The object that a row of this run names, to be lost."""
    objects = {entry["key"] for entry in airflow.bucket("list")}
    return next(key for key, reads in named(airflow.postgres, archives=False) if run in key and reads and key in objects)


def play(release: str, servers, options) -> list[tuple[str, dict, dict]]:
    postgres, redis, s3, buckets = servers
    folder = options.folder / release
    airflow = Deployment(release, install(release), postgres, redis, s3, folder / "airflow", (DAG,), {})
    airflow.bucket("create")
    cells = []
    try:
        airflow.start(triggerer=False)
        airflow.wait({DAG: 1}, 420)
        run_again(airflow, DAG, "consume", "success", "scheduled%")
        boundary = datetime.now(timezone.utc).isoformat()
        time.sleep(1)
        airflow.trigger(DAG, "manual__stays")
        airflow.wait({DAG: 2}, 420)
        airflow.stop()
        airflow.change({PATH: f"s3://aws_xcom@{BUCKET}/moved/deeper"})
        airflow.start(triggerer=False)
        airflow.trigger(DAG, "manual__moved")
        airflow.wait({DAG: 3}, 420)
        airflow.stop()
        airflow.bucket("delete", live_key(airflow, "manual__stays"))
        airflow.bucket("overwrite", "moved/deeper/notes.csv")
        table = "xcom_v2" if airflow.version >= (3, 4) else "xcom"
        for step, command in (
            ("before", None),
            ("after db clean", ["clean", "--clean-before-timestamp", boundary, "--tables", table, "--yes"]),
            ("after drop-archived", ["drop-archived", "--yes"]),
        ):
            if command:
                airflow.command("db", *command)
            age(buckets / BUCKET)
            expected, answer = truth(airflow), said(options.main, airflow, folder / "out")
            cells.append((step, expected, answer))
            figures = {name: value for name, value in answer.items() if not name.endswith("keys")}
            print(f"{release}, {step}: {'as expected' if expected == answer else 'WRONG'} {figures}", flush=True)
    finally:
        airflow.stop()
        with contextlib.suppress(RuntimeError):
            airflow.bucket("remove")
    return cells


FIGURES = ("objects", "bytes", "named", "orphaned", "orphaned bytes", "live", "missing", "archived")
ROW = re.compile(r"^\| (\d[^ ]*) \|")


def write(cells: dict[str, list[tuple[str, dict, dict]]]) -> None:
    """Rows of releases that were not run stay."""
    kept = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = {release: [] for release in RELEASES}
    for line in kept:
        if (match := ROW.match(line)) and match[1] not in cells:
            rows[match[1]].append(line)
    for release, steps in cells.items():
        for step, expected, answer in steps:
            shown = [
                str(answer[name]) if answer[name] == expected[name] else f"{answer[name]}, not {expected[name]}"
                for name in FIGURES
            ]
            lists = all(answer[name] == expected[name] for name in ("orphaned keys", "missing keys"))
            rows[release].append(f"| {release} | {step} | {' | '.join(shown)} | {'same' if lists else 'other'} |")
    RESULTS.write_text(
        "# The audit of a real Airflow\n\n"
        "Written by `python3 test/airflow/audit.py`. An Airflow ran, a task was cleared and ran again, the path moved, an object was\n"
        "deleted, and `airflow db clean` took the rows of the first runs. Each figure is the audit's and that of SQL and a listing; where\n"
        "they differ it says so. The last column compares the keys of both lists.\n\n"
        "<!-- prettier-ignore -->\n"
        f"| Airflow | when | {' | '.join(FIGURES)} | lists |\n|{'---|' * (len(FIGURES) + 3)}\n"
        + "\n".join(line for lines in rows.values() for line in lines)
        + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="append", choices=list(RELEASES), required=True)
    parser.add_argument("--exporter", help="a compiled main.js, unless it is to be compiled now")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with every log")
    options = parser.parse_args()
    preflight.require(builds_exporter=True)
    options.folder = folder = Path(tempfile.mkdtemp(prefix="airflow-audit-"))
    folder.chmod(0o755)
    servers = Processes(folder / "logs")
    cells, wrong = {}, []
    try:
        options.main = exporter.built(options.exporter, folder)
        if not options.exporter:  # DuckDB is no part of the bundle
            (options.main.parent.parent / "node_modules").symlink_to(exporter.REPOSITORY / "node_modules")
        postgres, redis, s3 = Postgres(servers, folder), Redis(servers), S3(servers, folder)
        for release in options.release:
            try:
                cells[release] = play(release, (postgres, redis, s3, folder / "buckets"), options)
                wrong += [f"{release}, {step}" for step, expected, answer in cells[release] if expected != answer]
            except (RuntimeError, TimeoutError, subprocess.CalledProcessError) as error:
                wrong.append(f"{release}: not played: {str(error)[-1500:]}")
                print(wrong[-1], flush=True)
        write(cells)
        (folder / "cells.json").write_text(json.dumps(cells, indent=2))
    finally:
        servers.stop()
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for one in wrong:
        print(f"WRONG: {one}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
