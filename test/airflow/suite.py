#!/usr/bin/env python3
"""Holds the exporter against real Airflow: plays every scenario on every release, records it, and asks the exporter what it sees.

Without arguments: every release, every scenario, then the long healthy runs; hours. With --replay: recordings instead of Airflow.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import preflight
import results
import soak
import verify
from deployment import BUCKET, Deployment
from exporter import Daemon, built, check
from releases import RELEASES, install, migrate
from scenarios import SCENARIOS, record
from services import ACCESS_KEY, CACHE, S3, Postgres, Processes, Redis, portable

# Until both sides of a comparison are in, large values without references, or few of them, may be named more generally.
FALLBACKS = {"worker_bypass", "backend_inactive", "oversize_in_db"}


def compare(expected: dict, said: dict) -> list[str]:
    """What is wrong with the exporter's word."""
    wrong = []

    def same(what: str, seen, true) -> None:
        if seen != true:
            wrong.append(f"{what}: expected {true}, seen {seen}")

    problems = said["problems"]
    same("problems", sorted(p["code"] for p in problems), sorted(expected["problems"]))
    same("exit code", said["exit"], 1 if expected["problems"] else 2 if expected.get("undecided") else 0)
    same("coverage", said["cycle"]["coverage"], 1)
    xcoms = expected["xcoms"]
    for storage in ("db", "s3", "other"):
        same(f"rows {storage}", said["window"]["rows"][storage], sum(x["storage"] == storage for x in xcoms))
    for reason in ("missing", "empty", "path_mismatch", "leaked"):
        true = sum(x.get("broken") == reason for x in xcoms)
        same(f"broken {reason}", said["window"]["broken_references"][reason] or 0, true)
    for name, field in (("dags", "dag_id"), ("tasks", "task_id"), ("queues", "queue"), ("hosts", "hostname")):
        if name in expected["where"]:
            same(name, sorted({finding[field] for finding in said["findings"]}), sorted(expected["where"][name]))
    if queues := expected["where"].get("queues"):
        named = {place["value"] for p in problems for place in p["where"] if place["label"] == "queue"}
        same("queues in evidence", sorted(named), sorted(queues))
    return wrong


def play(name: str, release: str, main: Path, servers: tuple, folder: Path, out: Path, common: dict) -> dict:
    """One scenario, live: recorded, watched by the daemon while it lasts, and checked at its end."""
    watching = Processes(folder / "logs")
    daemons: list[Daemon] = []
    looks: list[int] = []  # how many had ended when all was done

    def watch(deployment: Deployment) -> None:
        if SCENARIOS[name].watched:
            daemons.append(Daemon(main, deployment.environment, watching, seconds=2))

    def played() -> None:
        looks.extend(daemon.cycles() for daemon in daemons)

    try:
        deployment, expected = record(name, release, servers, folder, out, watch, common, played)
        try:
            said = check(main, deployment.environment)
            wrong = compare(expected, said)
            for daemon, ended in zip(daemons, looks, strict=True):
                daemon.settle(3)
                if (last := daemon.problems()) != sorted(expected["problems"]):
                    wrong.append(f"the daemon says {last} in the end")
                daemon.stop()
                if late := daemon.late(ended, expected["problems"]):
                    wrong.append(f"the daemon did not say {late} within one interval, or not without a break")
                early = FALLBACKS if FALLBACKS & {*expected["problems"]} else set()
                if others := sorted(daemon.raised.keys() - expected["problems"] - early):
                    wrong.append(f"the daemon said {others} on the way: {json.dumps(daemon.first)[:600]}")
        finally:
            deployment.bucket("remove")
    finally:
        watching.stop()
    return {
        "how": "live",
        "expected": sorted(expected["problems"]),
        "seen": sorted(problem["code"] for problem in said["problems"]),
        **({"undecided": True} if expected.get("undecided") else {}),
        "watched": [daemon.scrapes for daemon in daemons],
        "at_once": bool(daemons and expected["problems"]),
        "wrong": wrong,
    }


def replay(name: str, release: str, main: Path, servers: tuple, out: Path) -> dict:
    """One recording, loaded into the servers with its times moved to now, and checked."""
    postgres, _, s3 = servers
    recording = out / release / name
    expected = json.loads((recording / "expected.json").read_text())
    scenario = json.loads((recording / "scenario.json").read_text())
    verify.load(recording, postgres)
    age = datetime.fromisoformat(scenario["recorded_at"])
    columns = postgres.rows(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'",
        "fixture",
    )
    tables: dict[str, list[str]] = {}
    for column in columns:
        name_of = column["column_name"]
        moved = f"\"{name_of}\" = \"{name_of}\" + (now() - interval '1 hour' - '{age.isoformat()}'::timestamptz)"
        tables.setdefault(column["table_name"], []).append(moved)
    postgres.query(
        "SET session_replication_role = replica;\n"
        + "\n".join(f'UPDATE "{table}" SET {", ".join(moves)};' for table, moves in tables.items()),
        "fixture",
    )
    worker = {
        key: re.sub(r"endpoint_url=[^&]*", f"endpoint_url={s3.url.replace(':', '%3A').replace('/', '%2F')}", value)
        for key, value in scenario["env"].items()
    }
    worker["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = (
        f"postgresql+psycopg2://airflow:airflow@127.0.0.1:{postgres.port}/fixture"
    )
    connection = next(value for key, value in worker.items() if key.startswith("AIRFLOW_CONN_") and ACCESS_KEY in value)
    objects = recording / "objects.json"
    buckets = {BUCKET, *(entry["bucket"] for entry in json.loads(objects.read_text()))}
    for name_of in buckets:
        bucket("create", connection, name_of)
    try:
        bucket("fill", connection, BUCKET, str(objects))
        said = check(main, worker)
    finally:
        for name_of in buckets:
            bucket("remove", connection, name_of)
    return {
        "how": "replayed",
        "expected": sorted(expected["problems"]),
        "seen": sorted(problem["code"] for problem in said["problems"]),
        **({"undecided": True} if expected.get("undecided") else {}),
        "wrong": compare(expected, said),
    }


def bucket(action: str, connection: str, *bucket_and_keys: str) -> None:
    """By the boto3 of whichever release is installed."""
    python = install(next(release for release in reversed(RELEASES) if not RELEASES[release].get("scenarios"))) / "python"
    subprocess.run(
        [python, Path(__file__).parent / "bucket.py", action, connection, *bucket_and_keys],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def hold(release: str, chosen: list[str], options: argparse.Namespace, exporter: Path, servers: tuple, folder: Path) -> int:
    """One release: every chosen scenario and, if it is chosen, the long healthy run. Gives how many are not as planned."""

    def reason(error: Exception) -> str:
        """For the table: without folders of this machine and addresses of its registries."""
        words = str(error).replace(f"{folder}/", "").replace(f"{CACHE}/", "")
        return " ".join(re.sub(r"https?://\S+", "…", words).split())[:300] or type(error).__name__

    if not options.replay:
        try:
            template = migrate(release, servers[0], folder)
        except Exception as error:  # the next release may still be there
            print(f"{release}: FAILED: {error}", file=sys.stderr, flush=True)
            results.note_release(release, reason(error))
            return 1
        results.note_release(release, None)
        (options.out / release).mkdir(parents=True, exist_ok=True)
        (options.out / release / "schema.sql").write_text(portable(servers[0].dump("--schema-only", database=template)))
    bad = 0
    common: dict[str, Deployment] = {}
    try:
        for name in chosen:
            if name == "soak" or not SCENARIOS[name].possible_on(release):
                continue
            if options.replay and not (options.out / release / name / "expected.json").exists():
                continue
            try:
                if common and not SCENARIOS[name].shared:
                    common.popitem()[1].stop()
                if options.replay:
                    cell = replay(name, release, exporter, servers, options.out)
                else:
                    cell = play(name, release, exporter, servers, folder / release / name, options.out, common)
            except Exception as error:  # the next scenario may still be played
                expected = options.out / release / name / "expected.json"
                planned = json.loads(expected.read_text())["problems"] if expected.exists() else []
                cell = {"how": "replayed" if options.replay else "live", "expected": planned, "seen": None, "wrong": [reason(error)]}
                print(f"{release} {name}: FAILED: {error}", file=sys.stderr, flush=True)
            results.note_cell(release, name, cell)
            bad += bool(cell["wrong"])
            print(f"{release} {name}: {'; '.join(cell['wrong']) or 'as planned'} ({cell['how']})", flush=True)
    finally:
        for deployment in common.values():
            deployment.stop()
    if "soak" in chosen and not options.replay and not RELEASES[release].get("scenarios"):
        try:
            outcome = soak.soak(release, exporter, servers, folder / release / "soak")
        except Exception as error:  # the next release may still run
            print(f"{release} long healthy run: FAILED: {error}", file=sys.stderr, flush=True)
            return bad + 1
        results.note_soak(outcome)
        bad += bool(outcome["wrong"])
        print(f"{release} long healthy run: {'; '.join(outcome['wrong']) or 'as planned'}", flush=True)
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=[*RELEASES, "all"], default=[])
    parser.add_argument("--scenario", action="append", choices=[*SCENARIOS, "soak", "all"], default=[])
    parser.add_argument("--replay", action="store_true", help="load recordings instead of running Airflow")
    parser.add_argument("--exporter", help="a built main.js (default: one is built from src)")
    parser.add_argument("--out", type=Path, default=results.FIXTURES, help="where recordings are (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with every log")
    options = parser.parse_args()
    preflight.require(builds_exporter=options.exporter is None)
    releases = options.release if options.release and "all" not in options.release else list(RELEASES)
    chosen = options.scenario if options.scenario and "all" not in options.scenario else [*SCENARIOS, "soak"]
    # Those that share an Airflow one after the other: only one at a time can have the database.
    chosen.sort(key=lambda name: name != "soak" and not SCENARIOS[name].shared)

    folder = Path(tempfile.mkdtemp(prefix="airflow-suite-"))
    folder.chmod(0o755)
    processes = Processes(folder / "logs")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        exporter = built(options.exporter, folder)
        servers = (Postgres(processes, folder), Redis(processes), S3(processes, folder))
        bad = sum(hold(release, chosen, options, exporter, servers, folder) for release in releases)
    finally:
        processes.stop()
        print(f"kept {folder}") if options.keep else shutil.rmtree(folder, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
