#!/usr/bin/env python3
"""Holds a recording's plan (expected.json) against its rows and objects, and knows nothing of the exporter.

It loads schema.sql and rows.sql into an empty database, so a fixture that does not load is found here too.
"""

import argparse
import json
import pickle
import shutil
import sys
import tempfile
from pathlib import Path

from services import Postgres, Processes

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "airflow"


class Wrong(Exception):
    pass


def verify(folder: Path, postgres: Postgres) -> None:
    load(folder, postgres)
    expected = json.loads((folder / "expected.json").read_text())
    recorded = json.loads((folder / "objects.json").read_text())
    states = {entry["key"] for entry in recorded if entry.get("state_store")}
    objects = {entry["key"]: entry["bytes"] for entry in recorded if entry["key"] not in states}
    environment = json.loads((folder / "scenario.json").read_text())["env"]
    pickling = environment.get("AIRFLOW__CORE__ENABLE_XCOM_PICKLING") == "True"
    found = {identity(row): row for row in stored(postgres)}
    planned = {identity(row): row for row in expected["xcoms"]}

    wrong = [f"planned, not found: {key}" for key in planned.keys() - found.keys()]
    wrong += [f"found, not planned: {key}" for key in found.keys() - planned.keys()]
    referenced = set()
    for key in planned.keys() & found.keys():
        plan, row = planned[key], found[key]
        value, size = decoded(row)
        object_key = key_of(json.loads(json.loads(value)) if plan.get("as_text") else value, objects)
        if object_key in objects and plan.get("broken") != "leaked":
            referenced.add(object_key)
        wrong += [f"{key}: {fault}" for fault in faults(plan, row, value, size, object_key, objects, pickling)]

    if states != state_keys(postgres, "fixture"):
        wrong.append(f"objects of state stores: {sorted(states)}")
    counted = {"live": len(referenced), "orphans": len(objects.keys() - referenced)}
    if states:
        counted["states"] = len(states)
    if counted != expected["objects"]:
        wrong.append(f"objects: planned {expected['objects']}, found {counted}: {sorted(objects.keys() - referenced)}")
    if wrong:
        raise Wrong("\n  ".join([f"{folder}: the plan is not what happened", *sorted(wrong)]))


def faults(plan, row, value, size, object_key, objects, pickling):
    if plan["storage"] == "db":
        if object_key is not None and own(row, object_key):
            yield f"planned in the database, is a reference: {value}"
        if size is not None and not pickling and "measured_bytes" in plan and size != plan["measured_bytes"]:
            yield f"planned {plan['measured_bytes']} bytes in the database, found {size}"
    elif plan["storage"] == "s3":
        broken = plan.get("broken")
        if object_key is None:
            yield f"planned in S3, but the row holds {str(value)[:80]!r}"
        elif not plan.get("as_text") and own(row, object_key) == (broken == "leaked"):
            yield f"whose reference is it? {value}"
        elif broken != "leaked" and (object_key in objects) == (broken == "missing" or plan.get("gone", False)):
            yield f"object {'there' if object_key in objects else 'missing'}: {object_key}"
        elif broken == "empty" and objects[object_key] != 0:
            yield f"planned empty, {objects[object_key]} bytes"
        elif broken or plan.get("gone") or "measured_bytes" not in plan:
            return
        elif plan.get("compressed"):
            if not object_key.endswith(".gz"):
                yield f"planned compressed: {object_key}"
        elif objects[object_key] != plan["measured_bytes"]:
            yield f"planned {plan['measured_bytes']} bytes in S3, found {objects[object_key]}"
    elif "://" in str(value).removeprefix("file://") or f"{row['dag_id']}/{row['run_id']}/{row['task_id']}/" not in str(value):
        yield f"planned elsewhere, but the row holds {str(value)[:80]!r}"


def own(row: dict, object_key: str) -> bool:
    return f"/{row['dag_id']}/{row['run_id']}/{row['task_id']}/" in f"/{object_key}"


def key_of(value: object, objects: dict) -> str | None:
    """The object key a string names in our bucket, if it has the shape of one that Airflow wrote."""
    if not isinstance(value, str) or not value.startswith("s3://"):
        return None
    bucket, _, key = value.removeprefix("s3://").rpartition("@")[2].partition("/")
    return key if key in objects or (bucket == "airflow-xcom" and len(key.split("/")) >= 5) else None


def identity(row: dict) -> tuple:
    names = ("dag_id", "run_id", "task_id", "map_index", "key")
    return (*(row[name] for name in names), "archived try" if row.get("archived_try") else "")


def load(folder: Path, postgres: Postgres) -> None:
    postgres.recreate("fixture")
    schemas = [path for path in (folder / "schema.sql", folder.parent / "schema.sql") if path.exists()]
    postgres.query(schemas[0].read_text(), "fixture")
    postgres.query("SET session_replication_role = replica;\n" + (folder / "rows.sql").read_text(), "fixture")


def state_keys(postgres: Postgres, database: str) -> set[str]:
    """Keys of the objects that task and asset state stores (3.3 and later) refer to."""
    found = set()
    for table in ("task_state_store", "asset_state_store"):
        if postgres.query(f"SELECT 1 FROM pg_tables WHERE tablename = '{table}'", database):
            for row in postgres.rows(f"SELECT value FROM {table}", database):
                value = json.loads(row["value"])
                if isinstance(value, dict) and "__airflow_state_ref__" in value:
                    found.add(value["__airflow_state_ref__"].rpartition("@")[2].partition("/")[2])
    return found


def stored(postgres: Postgres, database: str = "fixture") -> list[dict]:
    """Every XCom row with its owner; `value` is the column's text, of a bytea in hexadecimal."""
    (column,) = postgres.rows(
        "SELECT table_name, data_type FROM information_schema.columns "
        "WHERE column_name = 'value' AND table_name IN ('xcom', 'xcom_v1')",
        database,
    )
    table, kind = column["table_name"], column["data_type"]
    value = "encode(value, 'hex')" if kind == "bytea" else "value::text"
    select = (
        f"SELECT dag_id, run_id, task_id, map_index, key, '{kind}' AS type, {value} AS value, false AS archived_try "
        f"FROM {table}"
    )
    if table == "xcom_v1":
        select += (
            " UNION ALL SELECT dag_id, run_id, task_id, region_index, key, 'jsonb', value::text, "
            "working_set IS NOT TRUE FROM xcom_v2 JOIN task_instance ON task_instance.id = task_instance_id"
        )
    return postgres.rows(select, database)


def decoded(row: dict) -> tuple[object, int | None]:
    """The stored value and, where the column keeps what Airflow measured, its size."""
    if row["type"] == "jsonb":
        return (None if row["value"] is None else json.loads(row["value"])), None
    raw = bytes.fromhex(row["value"])
    return (pickle.loads(raw) if raw[:1] == b"\x80" else json.loads(raw)), len(raw)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fixture", nargs="*", type=Path, help="folders with expected.json (default: all)")
    fixtures = parser.parse_args().fixture or sorted(path.parent for path in FIXTURES.glob("*/*/expected.json"))
    folder = Path(tempfile.mkdtemp(prefix="airflow-recording-"))
    folder.chmod(0o755)
    servers = Processes(folder / "logs")
    failed = 0
    try:
        postgres = Postgres(servers, folder)
        for fixture in fixtures:
            try:
                verify(fixture, postgres)
                print(f"{fixture.parent.name} {fixture.name}: as planned")
            except Wrong as error:
                failed += 1
                print(error)
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
