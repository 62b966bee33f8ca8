#!/usr/bin/env python3
"""Runs the canary's DAG on released Airflows: by Celery, on pools of workers that are each set up in a way of its own.

    python3 test/airflow/canary.py --release 3.3.2 --threshold 1000 --threshold 0
    python3 test/airflow/canary.py --release 3.3.2 --scenario settings --scenario detect

Holds what each pool said, and what `check` says of it, against canary_pools.py; writes the outcome to canary.json and for
people to CANARY.md; ends with 1 where something is not as expected.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import exporter
import preflight
from canary_pools import POOLS, READER, SCENARIOS, Stage, expected, problems
from canary_results import note
from deployment import BUCKET, Deployment
from releases import RELEASES, install
from services import ACCESS_KEY, SECRET_KEY, S3, Postgres, Processes, Redis, versitygw

DAG_ID = "airflow_xcom_canary"
INTERVAL = 60
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
CANARY = {"canary_failing", "canary_silent", "worker_settings_differ"}
KEPT = ("dag_run", "task_instance", "task_instance_history", "rendered_task_instance_fields", "log", "job", "xcom")
POLICY = """
import boto3, json, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1",
                  aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
s3.put_bucket_policy(Bucket=sys.argv[4], Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"AWS": [sys.argv[5]]}, "Action": ["s3:GetObject", "s3:ListBucket"],
    "Resource": [f"arn:aws:s3:::{sys.argv[4]}", f"arn:aws:s3:::{sys.argv[4]}/*"]}]}))
"""


class Canary(Deployment):
    """Workers of several queues, each with an environment of its own."""

    def prepare(self, queues, stage: Stage) -> None:
        self.extra = {queue: POOLS[queue].changes(self, stage) for queue in queues if POOLS[queue].runs}

    def start_workers(self) -> None:
        for queue in self.extra:
            self.start_worker(queue, self.extra[queue])

    def start_worker(self, queue: str, extra: dict[str, str | None]) -> None:
        name = [] if self.version >= (3, 0) else ["--celery-hostname", f"{queue}@%h"]
        pid = str(self.folder / f"{queue}.pid")
        arguments = ["celery", "worker", "--queues", queue, "--skip-serve-logs", "--pid", pid, *name]
        self._start(f"worker-{queue}", *arguments, **{"AIRFLOW__CELERY__WORKER_CONCURRENCY": "1", **extra})

    def replace_worker(self, queue: str, extra: dict[str, str | None]) -> None:
        """Ends the worker when it has no task, and starts one that is set up in another way."""
        while self.postgres.query("SELECT 1 FROM task_instance WHERE state IN ('running', 'queued')"):
            time.sleep(0.2)
        name, worker = next(one for one in self.processes.running if one[0] == f"worker-{queue}")
        self.processes.running.remove((name, worker))
        worker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        (self.folder / f"{queue}.pid").unlink(missing_ok=True)
        self.start_worker(queue, extra)

    def runs(self) -> list[dict]:
        return self.postgres.rows(
            f"SELECT id, run_id, state, extract(epoch FROM now() - start_date) AS age FROM dag_run WHERE dag_id = '{DAG_ID}' ORDER BY id"
        )

    def ended(self) -> list[dict]:
        return [run for run in self.runs() if run["state"] in ("success", "failed")]


def reports(postgres: Postgres) -> list[dict]:
    """Every report that is there, by run."""
    tables = postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    if "xcom_v2" in tables:
        query = "SELECT ti.run_id, x.value FROM xcom_v2 x JOIN task_instance ti ON ti.id = x.task_instance_id WHERE ti.dag_id"
    else:
        kind = postgres.query(
            "SELECT data_type FROM information_schema.columns WHERE table_name = 'xcom' AND column_name = 'value'"
        )
        value = "value" if kind == ["jsonb"] else "convert_from(value, 'UTF8')::jsonb"
        query = f"SELECT run_id, {value} AS value FROM xcom x WHERE dag_id"
    rows = postgres.rows(f"{query} = '{DAG_ID}' AND x.key = 'canary_report'")
    return [{"run_id": row["run_id"], **row["value"]} for row in rows]


def said(found: list[dict], queue: str) -> dict[str, object] | None:
    ours = {one["step"]: one for one in found if one["pool"] == queue}
    if "look" not in ours:
        return None
    result: dict[str, object] = {"form": ours["look"]["payload"]["form"]}
    for one in ours.values():
        for outcome in one["operations"]:
            if outcome["operation"] == "read":
                result.setdefault("read", {})[outcome["from"]] = outcome["ok"]
            else:
                result[outcome["operation"]] = outcome["ok"]
    if "read" in ours:
        result.setdefault("read", {})
    return result


def wait_for(airflow: Canary, what: str, is_there, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_there():
        airflow.processes.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s: {what}; {airflow.runs()}")
        time.sleep(0.5)


def detect(airflow: Canary, options) -> dict[str, float]:
    """How long after a pool lost its settings, and got them back, the daemon says so, with no other task running."""
    daemon = exporter.Daemon(options.main, airflow.worker_environment() | {"AIRFLOW_HOME": str(airflow.folder)}, airflow.processes)
    try:
        wait_for(airflow, "the healthy pools are not heard", lambda: daemon.value("airflow_xcom_canary_success", operation="read") == 2, 240)
        daemon.settle(2)
        before = CANARY & {*daemon.problems()}
        if before:
            raise RuntimeError(f"said of healthy pools: {before}")
        seconds = {}
        for what, extra, is_raised in (("raised", POOLS["legacy"].changes(airflow, None), True), ("cleared", {}, False)):
            airflow.replace_worker("legacy", extra)
            since = time.monotonic()
            wait_for(airflow, f"not {what}", lambda is_raised=is_raised: ("worker_settings_differ" in daemon.problems()) == is_raised, 300)
            seconds[what] = round(time.monotonic() - since, 1)
        return seconds
    finally:
        daemon.stop()


def costs(postgres: Postgres, runs: int) -> dict[str, dict[str, float]]:
    """Rows and bytes that a run leaves in each table, and the XComs that are there in all. Nothing else has run."""
    found = {}
    for table in postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        name = "xcom" if table == "xcom_v2" else table
        if name in KEPT:
            where = f"WHERE dag_id = '{DAG_ID}'" if name in ("log", "job") else ""
            count, size = postgres.query(f"SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM {table} t {where}")[0].split("|")
            if int(count) or name not in found:
                found[name] = {"rows": int(count), "bytes": int(size)}
    return {"runs": runs, "tables": found}


def play(release: str, scenario: str, threshold: int, servers, options) -> list[str]:
    postgres, redis, s3, stage = servers
    queues = SCENARIOS[scenario]
    folder = options.folder / release / f"{scenario}-{threshold}"
    airflow = Canary(release, install(release), postgres, redis, s3, folder, (), {THRESHOLD: str(threshold)})
    airflow.prepare(queues, stage)
    if scenario == "detect":  # all are healthy at first
        airflow.extra = dict.fromkeys(queues, {})
    flags = [flag for queue in queues for flag in ("--queue", queue)]
    command = ["node", str(options.main), "canary", "--every", f"{INTERVAL}s", *flags]
    (airflow.dags / "canary.py").write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    listed = airflow.python("canary_imports.py", str(airflow.dags / "canary.py"))
    wrong = [] if listed == "[]" else [f"parsing says {listed}"]
    airflow.bucket("create")
    subprocess.run([airflow.airflow / "python", "-c", POLICY, s3.url, ACCESS_KEY, SECRET_KEY, BUCKET, READER[0]], check=True)
    logs = [log for name in ("s3", "s3-tls") if (log := options.folder / "logs" / f"{name}.log").exists()]
    before = {log: len(log.read_text().splitlines()) for log in logs}
    took = None
    try:
        airflow.start(triggerer=False)
        if scenario == "detect":
            took = detect(airflow, options)
            print(f"{release}: {took}", flush=True)
        elif all(POOLS[queue].heard for queue in queues):
            wait_for(airflow, "the runs do not end", lambda: len(airflow.ended()) >= options.runs, 420)
        else:
            # Three intervals after the first run, and all that the others have to say is said.
            wait_for(airflow, "no run began", lambda: any((run["age"] or 0) > 3.2 * INTERVAL for run in airflow.runs()), 420)
        checked = exporter.check(options.main, airflow.worker_environment() | {"AIRFLOW_HOME": str(folder)})
        found = reports(postgres)
        postgres.query(f"UPDATE dag SET is_paused = true WHERE dag_id = '{DAG_ID}'")
        # A paused DAG goes on with its runs, and does not give up those that wait for a worker.
        if all(POOLS[queue].heard for queue in queues) and scenario != "detect":
            wait_for(airflow, "runs go on", lambda: len(airflow.ended()) == len(airflow.runs()), 300)
        runs = airflow.ended()
        found += [one for one in reports(postgres) if one not in found]
        objects = airflow.bucket("list")
    finally:
        airflow.stop()
        with contextlib.suppress(RuntimeError):
            airflow.bucket("remove")
    requests = [line for log in logs for line in log.read_text().splitlines()[before[log] :] if f"/{BUCKET}" in line]
    methods = Counter(re.findall(r"\b(GET|PUT|HEAD|DELETE|POST)\b", " ".join(requests)))
    raised = {one["code"]: one["evidence"] for one in checked["problems"] if one["code"] in CANARY}
    (folder / "reports.json").write_text(json.dumps(found, indent=2))
    cell = {"runs": len(runs), "seconds": took, "pools": {}, "problems": raised, "cost": costs(postgres, len(runs)), "requests": dict(methods)}
    wants = problems(queues) if scenario != "detect" else []
    if sorted(raised) != wants:
        wrong.append(f"check says {sorted(raised)}, not {wants}")
    # The last run in which each was heard.
    order = {run["run_id"]: run["id"] for run in runs}
    for queue in queues if scenario != "detect" else ():
        heard = [one for one in found if one["pool"] == queue and one["step"] == "look"]
        last = max(heard, key=lambda one: order.get(one["run_id"], 0), default=None)
        is_said = None if last is None else said([one for one in found if one["run_id"] == last["run_id"]], queue)
        if is_said != expected(queue, queues) and not (is_said and "down" in queues):
            wrong.append(f"{queue}: {is_said}, not {expected(queue, queues)}")
        failures = [o["error"] for one in found if last and one["pool"] == queue and one["run_id"] == last["run_id"] for o in one["operations"] if "error" in o]
        cell["pools"][queue] = {"said": is_said, "error": failures[0] if failures else None}
        print(f"  {queue}: {is_said} {failures[:1]}", flush=True)
        if last:
            cell["versions"] = last["settings"]["versions"]
            cell["pools"][queue]["operations"] = {o["operation"]: o["seconds"] for o in last["operations"]}
    if objects and all(POOLS[queue].heard for queue in queues) and scenario != "detect":
        wrong.append(f"{len(objects)} objects are left: {[one['key'] for one in objects][:3]}")
    print(f"{release}, {scenario}, threshold {threshold}: {raised}\n  {cell['cost']} {cell['requests']}\n  {wrong or 'as expected'}", flush=True)
    note(release, scenario, threshold, {**cell, "wrong": wrong})
    return [f"{release}, {scenario}, threshold {threshold}: {one}" for one in wrong]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="append", choices=list(RELEASES), required=True)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="three, unless given")
    parser.add_argument("--threshold", action="append", type=int, help="1000, unless given")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--exporter", help="a compiled main.js, unless it is to be compiled now")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with every log")
    options = parser.parse_args()
    preflight.require(builds_exporter=True)
    options.folder = folder = Path(tempfile.mkdtemp(prefix="airflow-canary-"))
    folder.chmod(0o755)
    servers = Processes(folder / "logs")
    wrong = []
    try:
        options.main = exporter.built(options.exporter, folder)
        users = folder / "users"
        users.mkdir()
        postgres, redis, s3 = Postgres(servers, folder), Redis(servers), S3(servers, folder, "--iam-dir", str(users))
        subprocess.run(
            [versitygw(), "admin", "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--endpoint-url", s3.url, "create-user",
             "--access", READER[0], "--secret", READER[1], "--role", "user"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        stage = Stage(servers, folder)
        for release in options.release:
            for scenario in options.scenario or ["three"]:
                for threshold in options.threshold or [1000]:
                    try:
                        wrong += play(release, scenario, threshold, (postgres, redis, s3, stage), options)
                    except (RuntimeError, TimeoutError, subprocess.CalledProcessError) as error:
                        wrong.append(f"{release}, {scenario}, threshold {threshold}: not played: {str(error)[-1500:]}")
                        print(wrong[-1], flush=True)
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
