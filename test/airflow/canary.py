#!/usr/bin/env python3
"""Runs the canary's DAG on released Airflows: by Celery, on three queues, each set up in a way of its own.

    python3 test/airflow/canary.py --release 3.3.2 --threshold 1000 --threshold 0

The workers of `default` are as they should be, those of `legacy` lack the backend, and those of `denied` have
credentials that may read and not write. Prints what each of them said, and what the canary left; ends with 1 where that
is not what is expected. `--exporter` asks the exporter as well.
"""

import argparse
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from pathlib import Path

import exporter
import preflight
from deployment import BUCKET, XCOM_ENVIRONMENT, Deployment
from releases import RELEASES, install
from services import ACCESS_KEY, SECRET_KEY, S3, Postgres, Processes, Redis, _versitygw

DAG_ID = "airflow_xcom_canary"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
READER = ("READERREADERREADER00", "reader-reader-reader-reader")
QUEUES = ("default", "legacy", "denied")
POLICY = """
import boto3, json, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1",
                  aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
s3.put_bucket_policy(Bucket=sys.argv[4], Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"AWS": [sys.argv[5]]}, "Action": ["s3:GetObject", "s3:ListBucket"],
    "Resource": [f"arn:aws:s3:::{sys.argv[4]}", f"arn:aws:s3:::{sys.argv[4]}/*"]}]}))
"""


class Canary(Deployment):
    """Workers of three queues, each with an environment of its own."""

    def __init__(self, *arguments, queues, down) -> None:
        super().__init__(*arguments)
        self.queues = [queue for queue in queues if queue not in down]
        endpoint = urllib.parse.quote(self.s3.url, safe="")
        reader = f"aws://{READER[0]}:{READER[1]}@/?endpoint_url={endpoint}&region_name=us-east-1"
        self.extra = {"legacy": dict.fromkeys(XCOM_ENVIRONMENT), "denied": {"AIRFLOW_CONN_AWS_XCOM": reader}}

    def start_workers(self) -> None:
        for queue in self.queues:
            name = [] if self.version >= (3, 0) else ["--celery-hostname", f"{queue}@%h"]
            pid = str(self.folder / f"{queue}.pid")
            arguments = ["celery", "worker", "--queues", queue, "--skip-serve-logs", "--pid", pid, *name]
            self._start(f"worker-{queue}", *arguments, **{"AIRFLOW__CELERY__WORKER_CONCURRENCY": "1", **self.extra.get(queue, {})})

    def ended(self) -> list[dict]:
        return self.postgres.rows(
            f"SELECT id, run_id, state FROM dag_run WHERE dag_id = '{DAG_ID}' AND state IN ('success', 'failed') ORDER BY id"
        )


def reports(postgres: Postgres) -> list[dict]:
    """Every report that is there, by run."""
    tables = postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    if "xcom_v2" in tables:
        return [
            {"run_id": row["run_id"], **row["value"]}
            for row in postgres.rows(
                "SELECT ti.run_id, x.value FROM xcom_v2 x JOIN task_instance ti ON ti.id = x.task_instance_id "
                f"WHERE ti.dag_id = '{DAG_ID}' AND x.key = 'canary_report'"
            )
        ]
    kind = postgres.query(
        "SELECT data_type FROM information_schema.columns WHERE table_name = 'xcom' AND column_name = 'value'"
    )
    value = "value" if kind == ["jsonb"] else "convert_from(value, 'UTF8')::jsonb"
    return [
        {"run_id": row["run_id"], **row["value"]}
        for row in postgres.rows(
            f"SELECT run_id, {value} AS value FROM xcom WHERE dag_id = '{DAG_ID}' AND key = 'canary_report'"
        )
    ]


def expected(queue: str, queues) -> dict[str, object]:
    """What has to be said of a queue: by operation whether it worked, and what the row held."""
    whole = {"default": True, "legacy": True, "denied": False}
    said: dict[str, object] = {"push": whole[queue], "form": {"default": "reference", "legacy": "value", "denied": None}[queue]}
    if whole[queue]:
        said["pull"] = True
        said["delete"] = True
    if len(queues) > 1:
        said["delete"] = True
        others = [other for other in queues if other != queue and whole[other]]
        # Without the backend, the reader is handed the path of what was pushed with it.
        said["read"] = {other: not (queue == "legacy" and other == "default") for other in others}
    elif not whole[queue]:
        said["delete"] = True
    return said


def said(found: list[dict], queue: str) -> dict[str, object]:
    ours = {one["step"]: one for one in found if one["pool"] == queue}
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


def play(release: str, threshold: int, queues, servers, folder: Path, options) -> list[str]:
    postgres, redis, s3 = servers
    airflow = Canary(
        release, install(release), postgres, redis, s3, folder, (), {THRESHOLD: str(threshold)},
        queues=queues, down=options.down,
    )  # fmt: skip
    flags = [flag for queue in queues for flag in ("--queue", queue)]
    text = subprocess.run(
        ["node", str(options.main), "canary", "--every", "1m", *flags], check=True, capture_output=True, text=True
    ).stdout
    (airflow.dags / "canary.py").write_text(text)
    listed = airflow.python("canary_imports.py", str(airflow.dags / "canary.py"))
    wrong = [] if listed == "[]" else [f"parsing says {listed}"]
    airflow.bucket("create")
    subprocess.run(
        [airflow.airflow / "python", "-c", POLICY, s3.url, ACCESS_KEY, SECRET_KEY, BUCKET, READER[0]], check=True
    )
    log = folder.parents[1] / "logs" / "s3.log"
    before = len(log.read_text().splitlines())
    started = time.monotonic()
    try:
        airflow.start(triggerer=False)
        deadline = time.monotonic() + 420
        while len(airflow.ended()) < options.runs and time.monotonic() < deadline:
            airflow.processes.check()
            time.sleep(1)
        if options.exporter:
            done = exporter.check(options.main, airflow.worker_environment() | {"AIRFLOW_HOME": str(folder)})
            print(json.dumps([(p["code"], p["evidence"]) for p in done["problems"]], indent=2), flush=True)
        postgres.query(f"UPDATE dag SET is_paused = true WHERE dag_id = '{DAG_ID}'")
        while postgres.query("SELECT 1 FROM dag_run WHERE state IN ('running', 'queued')") and time.monotonic() < deadline:
            time.sleep(1)
        seconds = time.monotonic() - started
        runs = airflow.ended()
        found = reports(postgres)
        requests = [line for line in log.read_text().splitlines()[before:] if f"/{BUCKET}" in line]
        methods = Counter(re.findall(r"\b(GET|PUT|HEAD|DELETE|POST)\b", " ".join(requests)))
        objects = airflow.bucket("list")
    finally:
        airflow.stop()
        with contextlib.suppress(RuntimeError):
            airflow.bucket("remove")
    print(f"\n{release}, threshold {threshold}, {len(queues)} pools: {len(runs)} runs in {seconds:.0f} s, {[r['state'] for r in runs]}")
    last = [one for one in found if runs and one["run_id"] == runs[-1]["run_id"]]
    for queue in queues:
        try:
            is_said = said(last, queue)
        except KeyError as error:
            wrong.append(f"{queue}: no report of {error}")
            continue
        wants = expected(queue, queues)
        holds = is_said == wants or options.down
        print(f"  {queue}: {is_said}{'' if holds else f'  EXPECTED {wants}'}")
        if not holds:
            wrong.append(f"{queue}: {is_said}, not {wants}")
    for one in last:
        if one["step"] == "look":
            print(f"  {one['pool']}: {json.dumps({k: one[k] for k in ('settings', 'payload', 'warm_up_seconds', 'operations')})}")
        else:
            print(f"  {one['pool']} {one['step']}: {json.dumps(one['operations'])}")
    rows = {
        table: postgres.query(f"SELECT count(*) FROM {table}")[0]
        for table in postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    }
    kept = ("dag_run", "task_instance", "task_instance_history", "rendered_task_instance_fields", "log", "job", "xcom", "xcom_v2")
    print(f"  rows: { {table: rows[table] for table in kept if table in rows} }; objects left: {len(objects)}; requests to S3: {dict(methods)}")
    if objects:
        wrong.append(f"{len(objects)} objects are left: {[one['key'] for one in objects][:3]}")
    (folder / "reports.json").write_text(json.dumps(found, indent=2))
    return [f"{release}, threshold {threshold}: {one}" for one in wrong]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="append", choices=list(RELEASES), required=True)
    parser.add_argument("--threshold", action="append", type=int)
    parser.add_argument("--queue", action="append", choices=QUEUES, help="all three, unless given")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--down", action="append", default=[], help="a queue whose worker is not started; nothing is expected then")
    parser.add_argument("--exporter", action="store_true", help="print what `check` says as well")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with every log")
    options = parser.parse_args()
    preflight.require(builds_exporter=True)
    folder = Path(tempfile.mkdtemp(prefix="airflow-canary-"))
    folder.chmod(0o755)
    servers = Processes(folder / "logs")
    wrong = []
    try:
        options.main = exporter.build(folder)
        users = folder / "users"
        users.mkdir()
        postgres, redis, s3 = Postgres(servers, folder), Redis(servers), S3(servers, folder, "--iam-dir", str(users))
        subprocess.run(
            [_versitygw(), "admin", "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--endpoint-url", s3.url, "create-user",
             "--access", READER[0], "--secret", READER[1], "--role", "user"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        for release in options.release:
            for threshold in options.threshold or [1000]:
                place = folder / release / str(threshold)
                wrong += play(release, threshold, tuple(options.queue or QUEUES), (postgres, redis, s3), place, options)
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
