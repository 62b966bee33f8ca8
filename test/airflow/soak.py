#!/usr/bin/env python3
"""A long healthy run: hundreds of task instances of mixed dags while the exporter looks every few seconds.

Nothing is wrong, so every problem it raises is false. In the end its figures are held against what the database and the
bucket hold, and its counters against a journal that a trigger in the database has kept of every row version.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import preflight
import results
import verify
from deployment import Deployment
from exporter import Daemon, built
from releases import RELEASES, install
from services import S3, Postgres, Processes, Redis

RUNS = 10
SECONDS = 5  # between two looks of the exporter

JOURNAL = """
CREATE SCHEMA journal;
CREATE TABLE journal.versions (id bigserial, at timestamptz, op text, dag_id text, run_id text, task_id text, map_index int,
  key text, attempt text, value text);
CREATE FUNCTION journal.write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  IF TG_OP = 'DELETE' THEN r := OLD; ELSE r := NEW; END IF;
  INSERT INTO journal.versions (at, op, dag_id, run_id, task_id, map_index, key, attempt, value)
  SELECT clock_timestamp(), TG_OP, {place}, {value};
  RETURN NULL;
END $$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION journal.write();
"""


def keep_journal(airflow: Deployment) -> None:
    if airflow.version >= (3, 4):
        # A row that goes with its task instance can no longer be joined to it: the insertion says where it was.
        place = (
            "t.dag_id, t.run_id, t.task_id, t.region_index, r.key, r.task_instance_id::text"
        )
        value = "left(r.value::text, 400) FROM (SELECT 1) one LEFT JOIN public.task_instance t ON t.id = r.task_instance_id"
        table = "public.xcom_v2"
    else:
        place = "r.dag_id, r.run_id, r.task_id, r.map_index, r.key, ''"
        value = "left(r.value::text, 400)" if airflow.version >= (3, 0) else "encode(substr(r.value, 1, 400), 'escape')"
        table = "public.xcom"
    airflow.postgres.query(JOURNAL.format(place=place, value=value, table=table))


def act(airflow: Deployment, action: str, dag_id: str, run_id: str, *rest: str) -> None:
    if airflow.version < (3, 0):
        airflow.python("act.py", action, dag_id, run_id, *rest)
    elif action == "trigger":
        for one in (run_id, *rest):
            airflow.rest("POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": one, "logical_date": None})
    elif action == "clear":
        airflow.rest("POST", f"/dags/{dag_id}/clearTaskInstances", {
            "dag_run_id": run_id, "task_ids": list(rest), "dry_run": False, "only_failed": False, "reset_dag_runs": True,
        })  # fmt: skip
    elif action == "delete":
        airflow.rest("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}")


def known(airflow: Deployment, dag_id: str) -> None:
    for _ in range(180):
        airflow.processes.check()
        if airflow.postgres.query(f"SELECT 1 FROM serialized_dag WHERE dag_id = '{dag_id}'"):
            return
        time.sleep(1)
    raise TimeoutError(f"{dag_id} is unknown")


def finished(airflow: Deployment, runs: int, seconds: float) -> None:
    """Until this many runs of soak have ended well, and nothing else is on its way."""
    deadline = time.monotonic() + seconds
    while True:
        airflow.processes.check()
        counted = airflow.postgres.rows("SELECT dag_id, state, count(*) AS n FROM dag_run GROUP BY 1, 2")
        if any(row["state"] == "failed" for row in counted):
            raise RuntimeError(f"a run failed\n{airflow._unhappy_tasks()}")
        ended = sum(row["n"] for row in counted if (row["dag_id"], row["state"]) == ("soak", "success"))
        going = sum(row["n"] for row in counted if row["state"] in ("running", "queued") and row["dag_id"] != "soak")
        going += sum(row["n"] for row in counted if row["state"] == "running")
        if ended >= runs and (going == 0 or runs < 5):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s: {counted}\n{airflow._unhappy_tasks()}")
        time.sleep(2)


def instances(airflow: Deployment, *run_ids: str) -> int:
    """Task instances that have ended, of these runs or of all."""
    these = f"AND run_id IN ({', '.join(repr(run_id) for run_id in run_ids)})" if run_ids else ""
    ended = f"SELECT count(*) FROM task_instance WHERE state IN ('success', 'skipped', 'failed', 'up_for_retry') {these}"
    return int(airflow.postgres.query(ended)[0])


def run(airflow: Deployment, daemon: Daemon) -> int:
    """All that is done; gives how many task instances have gone with the runs that were deleted."""
    names = [f"manual__soak_{n:02}" for n in range(RUNS)]
    act(airflow, "trigger", "soak", *names)
    finished(airflow, 2, 1500)
    first = airflow.postgres.rows("SELECT run_id FROM dag_run WHERE dag_id = 'soak' AND state = 'success' ORDER BY id LIMIT 2")
    cleared, gone = (row["run_id"] for row in first)
    # Each with two looks between: what nobody saw cannot be counted.
    daemon.settle(2)
    act(airflow, "clear", "soak", cleared, "flaky", "takes", "typed", "group.inner", "group.outer")
    if airflow.version >= (3, 0):
        entries = f"/dags/soak/dagRuns/{gone}/taskInstances/nothing/xcomEntries"
        airflow.rest("POST", entries, {"key": "by_hand", "value": {"z": 1, "note": "n" * 900}, "map_index": -1})
        daemon.settle(2)
        airflow.rest("PATCH", entries + "/by_hand", {"value": ["changed", 2.5], "map_index": -1})
        daemon.settle(2)
    deleted = instances(airflow, gone)
    act(airflow, "delete", "soak", gone)
    deleted_child = airflow.postgres.rows(
        "SELECT run_id FROM dag_run WHERE dag_id = 'soak_child' AND state = 'success' ORDER BY id LIMIT 1"
    )
    deleted += instances(airflow, deleted_child[0]["run_id"])
    act(airflow, "delete", "soak_child", deleted_child[0]["run_id"])
    finished(airflow, 5, 1500)
    act(airflow, "clear", "soak", cleared, "part", "doubled", "total")
    finished(airflow, RUNS - 1, 2400)
    return deleted


def compare(airflow: Deployment, daemon: Daemon) -> tuple[dict, list[str]]:
    """The figures, and what is wrong with them."""
    daemon.settle(3)
    objects = {entry["key"]: entry["bytes"] for entry in airflow.bucket("list") if "/.airflow-xcom-exporter" not in entry["key"]}
    rows = verify.stored(airflow.postgres, "airflow")
    truth = {"db": 0, "s3": 0, "other": 0}
    held, referenced = 0, set()
    for row in rows:
        value, size = verify.decoded(row)
        key = verify.key_of(value, objects)
        if key in objects and verify.own(row, key):
            truth["s3"] += 1
            held += objects[key]
            referenced.add(key)
        else:
            truth["db"] += 1
    wrong = []

    def same(what: str, said: float | None, true: float) -> None:
        if said != true:
            wrong.append(f"{what}: the exporter says {said}, true is {true}")

    for storage, true in truth.items():
        same(f"window_rows {storage}", daemon.value("airflow_xcom_window_rows", storage=storage), true)
    same("window_bytes s3", daemon.value("airflow_xcom_window_bytes", storage="s3"), held)
    same("window_oversize_in_db_rows", daemon.value("airflow_xcom_window_oversize_in_db_rows"), 0)
    for reason in ("missing", "empty", "path_mismatch", "leaked"):
        same(f"window_broken {reason}", daemon.value("airflow_xcom_window_broken_references", reason=reason), 0)
        same(f"references_broken {reason}", daemon.value("airflow_xcom_references_broken_total", reason=reason), 0)
    same("oversize_in_db_total", daemon.value("airflow_xcom_oversize_in_db_total") or 0, 0)
    counters, versions, unseen, off = counted(airflow, daemon)
    wrong += off
    return {
        "rows": len(rows),
        "rows_s3": truth["s3"],
        "objects": len(objects),
        "unreferenced": len(objects.keys() - referenced),
        "versions": versions,
        "unseen": unseen,
        "counted": counters,
    }, wrong


def counted(airflow: Deployment, daemon: Daemon) -> tuple[int, int, int, list[str]]:
    """rows_total by dag and storage against the journal: every version that outlived a look was counted, none twice."""
    journal = airflow.postgres.rows(
        "SELECT id, extract(epoch FROM at)::float8 AS at, op, dag_id, run_id, task_id, map_index, key, attempt, value "
        "FROM journal.versions ORDER BY id"
    )
    open_versions: dict[tuple, dict] = {}
    whole: list[tuple[dict, float]] = []
    for entry in journal:
        identity = (entry["attempt"], entry["key"]) if entry["attempt"] else tuple(
            entry[name] for name in ("dag_id", "run_id", "task_id", "map_index", "key")
        )  # fmt: skip
        if entry["op"] != "INSERT" and identity in open_versions:
            before = open_versions.pop(identity)
            whole.append((before, entry["at"] - before["at"]))
        if entry["op"] != "DELETE":
            open_versions[identity] = entry
    whole += [(entry, float("inf")) for entry in open_versions.values()]
    most: dict[tuple, int] = {}
    least: dict[tuple, int] = {}
    for entry, lived in whole:
        base = airflow.environment["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"]
        place = f"{base}/{entry['dag_id']}/{entry['run_id']}/{entry['task_id']}/"
        label = (entry["dag_id"], "s3" if entry["value"].startswith(f'"{place}') else "db")
        most[label] = most.get(label, 0) + 1
        least[label] = least.get(label, 0) + (lived > 2 * SECONDS + 2)
    wrong, total = [], 0
    for (dag_id, storage), at_most in sorted(most.items()):
        said = int(daemon.value("airflow_xcom_rows_total", dag_id=dag_id, storage=storage) or 0)
        total += said
        if not least[dag_id, storage] <= said <= at_most:
            wrong.append(f"rows_total {dag_id} {storage}: {said}, true is {least[dag_id, storage]} to {at_most}")
    return total, len(whole), len(whole) - total, wrong


def soak(release: str, main: Path, servers: tuple[Postgres, Redis, S3], folder: Path) -> dict:
    airflow = Deployment(release, install(release), *servers, folder, ["soak"], {})
    airflow.bucket("create")
    watching = Processes(folder / "logs")
    started = time.monotonic()
    try:
        keep_journal(airflow)
        daemon = Daemon(main, airflow.environment, watching, SECONDS)
        airflow.start()
        known(airflow, "soak")
        known(airflow, "soak_child")
        deleted = run(airflow, daemon)
        figures, wrong = compare(airflow, daemon)
        watching.check()
        daemon.stop()
        wrong += [f"raised {problem}: {json.dumps(daemon.first.get(problem))[:1500]}" for problem in daemon.raised]
        return {
            "release": release,
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started),
            "task_instances": instances(airflow) + deleted,
            "cycles": daemon.cycles(),
            "scrapes": daemon.scrapes,
            "false_problems": sum(daemon.raised.values()),
            **figures,
            **json.loads(airflow.python("versions.py")),
            "wrong": wrong,
        }
    finally:
        watching.stop()
        airflow.stop()
        airflow.bucket("remove")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=[*RELEASES, "all"], required=True)
    parser.add_argument("--exporter", help="a built main.js (default: one is built from src)")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with every log")
    options = parser.parse_args()
    preflight.require(builds_exporter=options.exporter is None)
    releases = list(RELEASES) if "all" in options.release else options.release
    folder = Path(tempfile.mkdtemp(prefix="airflow-soak-"))
    folder.chmod(0o755)
    servers = Processes(folder / "logs")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bad = 0
    try:
        exporter = built(options.exporter, folder)
        running = (Postgres(servers, folder), Redis(servers), S3(servers, folder))
        for release in releases:
            print(f"{release} long healthy run: running", flush=True)
            try:
                outcome = soak(release, exporter, running, folder / release)
            except Exception as error:  # the next release may still run
                bad += 1
                print(f"{release} long healthy run: FAILED: {error}", file=sys.stderr, flush=True)
                continue
            results.note_soak(outcome)
            bad += bool(outcome["wrong"])
            print(f"{release} long healthy run: {json.dumps(outcome)}", flush=True)
    finally:
        servers.stop()
        print(f"kept {folder}") if options.keep else shutil.rmtree(folder, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
