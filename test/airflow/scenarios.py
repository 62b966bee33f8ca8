"""What can be recorded: how Airflow is set up, what is done to it, and what must then be found."""

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import verify
from deployment import BUCKET, XCOM_ENVIRONMENT, Deployment
from releases import install
from services import S3, Postgres, Redis, portable

WORKFLOWS = {"sizes": 1, "mapped": 1, "flow": 1, "child": 1, "legacy": 1}
BACKEND_VARIABLE = "AIRFLOW__CORE__XCOM_BACKEND"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"


@dataclass
class Plan:
    """What a scenario ends with. `xcoms` is filled from the DAGs' own tables, then amended by the scenario."""

    problems: list[str] = field(default_factory=list)
    where: dict[str, list[str]] = field(default_factory=dict)
    orphans: int = 0
    threshold: int = 1000
    bypass: list[str] = field(default_factory=list)
    amend: Callable[[list[dict]], list[dict]] = lambda xcoms: xcoms
    notes: str = ""


@dataclass(frozen=True)
class Scenario:
    play: Callable[[Deployment], Plan]
    dags: tuple[str, ...] = ("pair",)
    xcom: dict[str, str | None] = field(default_factory=dict)
    since: tuple[int, int] = (2, 9)
    until: tuple[int, int] = (99, 0)
    own_schema: bool = False  # the schema is not the one a fresh database of this release has

    def possible_on(self, release: str) -> bool:
        return self.since <= tuple(int(part) for part in release.split(".")[:2]) <= self.until


def healthy(airflow: Deployment) -> Plan:
    airflow.start()
    airflow.wait(WORKFLOWS)
    return Plan(notes="Every worker is configured; values of every kind.")


def worker_bypass(airflow: Deployment) -> Plan:
    airflow.legacy = dict.fromkeys(XCOM_ENVIRONMENT)
    airflow.start()
    airflow.wait(WORKFLOWS)
    return Plan(
        problems=["worker_bypass"],
        where={"dags": ["legacy"], "tasks": ["edges", "extract", "rows"], "queues": ["legacy"], "hosts": ["airflow-worker-legacy-0"]},
        bypass=["legacy"],
        notes="As healthy, but the worker of queue `legacy` runs without the three XCom variables.",
    )  # fmt: skip


def threshold_disabled(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1, "mapped": 1})
    return Plan(problems=["threshold_disabled"], threshold=-1, notes="The threshold is left at its default, -1.")


def backend_inactive(airflow: Deployment) -> Plan:
    airflow.change({BACKEND_VARIABLE: None, "AIRFLOW__CORE__XCOMBACKEND": XCOM_ENVIRONMENT[BACKEND_VARIABLE]})
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1, "mapped": 1})
    return Plan(
        problems=["backend_inactive"],
        where={"dags": ["mapped", "pair"], "tasks": ["consume", "part", "produce"], "queues": ["default"]},
        bypass=["default"],
        notes="The variable that names the backend is misspelt.",
    )


def path_changed(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    airflow.stop()
    airflow.change({PATH: f"s3://aws_xcom@{BUCKET}/xcom-v2"})
    airflow.start(triggerer=False)
    airflow.trigger("pair", "manual__after_the_change")
    airflow.wait({"pair": 2})
    return Plan(
        problems=["path_mismatch"],
        where={"dags": ["pair"], "tasks": ["consume", "produce"]},
        amend=broken("path_mismatch", lambda x: x["storage"] == "s3" and x["run_id"].startswith("scheduled")),
        notes="One run under .../xcom, then Airflow was restarted with .../xcom-v2 and ran once more.",
    )


def path_changed_rerun(airflow: Deployment) -> Plan:
    plan = path_changed(airflow)
    run_again(airflow, "pair", "consume", "success", run_id="scheduled%")
    kept = airflow.version >= (3, 4)

    def amend(xcoms):
        xcoms = plan.amend(xcoms)
        consume = next(x for x in xcoms if x["task_id"] == "consume" and x["run_id"].startswith("scheduled"))
        first = {**consume, "archived_try": True}
        consume |= {"broken": "leaked", "note": "holds the path of produce's object"}
        del consume["measured_bytes"]
        return [*xcoms, first] if kept else xcoms

    return Plan(
        problems=["path_leaked", "path_mismatch"],
        where=plan.where,
        # Airflow removes what a task left before only under the path in force, so consume's first object stays.
        orphans=0 if kept else 1,
        amend=amend,
        notes=plan.notes + " Then `consume` of the first run was cleared and ran again: it was handed the path.",
    )


def objects_missing(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    airflow.bucket("delete", *keys_of(airflow, "pair", "produce"))
    # Since common-io 1.6.2 a missing object is no error: Airflow hands the task the path instead.
    handed_on = airflow.version >= (2, 11)
    run_again(airflow, "pair", "consume", "success" if handed_on else "failed")

    def amend(xcoms):
        xcoms = broken("missing", lambda x: x["task_id"] == "produce" and x["storage"] == "s3")(xcoms)
        if not handed_on:
            return [x for x in xcoms if x["task_id"] != "consume"]
        for x in xcoms:
            if x["task_id"] == "consume":
                first = {**x, "archived_try": True}
                x |= {"storage": "s3", "broken": "leaked", "note": "holds the path of produce's object"}
                del x["measured_bytes"]
        return [*xcoms, first] if airflow.version >= (3, 4) else xcoms

    return Plan(
        problems=["objects_missing", *(["path_leaked"] if handed_on else [])],
        where={"dags": ["pair"], "tasks": ["consume", "produce"] if handed_on else ["produce"]},
        amend=amend,
        notes="The object of `produce` was deleted, then `consume` was cleared and ran again"
        + (": it was handed the path and pushed it on." if handed_on else " and failed (FileNotFoundError)."),
    )


def objects_empty(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    airflow.bucket("empty", *keys_of(airflow, "pair", "produce"))
    return Plan(
        problems=["objects_empty"],
        where={"dags": ["pair"], "tasks": ["produce"]},
        amend=broken("empty", lambda x: x["task_id"] == "produce" and x["storage"] == "s3"),
        notes="The object of `produce` was overwritten with nothing.",
    )


def key_twice(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"twice": 1})
    reused = airflow.version >= (3, 4)
    return Plan(
        orphans=0 if reused else 1,
        notes="One key pushed twice: "
        + ("the second push overwrites the object." if reused else "the first object stays, with no row."),
    )


def pickled(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1, "sizes": 1})
    return Plan(notes="[core] enable_xcom_pickling: references are pickled, values kept in the database are not.")


def skipmixin(airflow: Deployment) -> Plan:
    airflow.start()
    airflow.wait({"flow": 1, "child": 1})
    fixed = airflow.version >= (3, 4)

    def amend(xcoms):
        for x in xcoms:
            if fixed and x["key"] == "skipmixin_key":
                x |= {"storage": "db", "by_design": "skip_decision"}
        return xcoms

    return Plan(
        problems=[] if fixed else ["skip_decision_offloaded"],
        where={} if fixed else {"dags": ["flow"], "tasks": ["choose"]},
        # The standard provider of these releases pushes TriggerDagRunOperator's link through the backend; then the Task SDK
        # writes the link into the database, and the object has no row.
        orphans=1 if airflow.version >= (3, 3) else 0,
        threshold=0,
        amend=amend,
        notes="Threshold 0: every value goes to S3"
        + (", but not a branch's decision." if fixed else ", a branch's decision too."),
    )


def rest_patch(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    run_id = airflow.postgres.query("SELECT run_id FROM dag_run")[0]
    entries = f"/dags/pair/dagRuns/{quoted(run_id)}/taskInstances/{{}}/xcomEntries"
    value = "r" * 2998
    airflow.rest("PATCH", entries.format("produce") + "/return_value", {"value": value, "map_index": -1})
    airflow.rest("POST", entries.format("small"), {"key": "by_hand", "value": value, "map_index": -1})
    airflow.rest(
        "POST", entries.format("small"), {"key": "by_hand_small", "value": {"z": 1, "a": [2]}, "map_index": -1}
    )

    def amend(xcoms):
        rest = {"storage": "db", "by_design": "rest_api"}
        for x in xcoms:
            if (x["task_id"], x["key"]) == ("produce", "return_value"):
                x |= {**rest, "measured_bytes": 3000}
        small = next(x for x in xcoms if x["task_id"] == "small")
        return [
            *xcoms,
            {**small, **rest, "key": "by_hand", "measured_bytes": 3000},
            {**small, **rest, "key": "by_hand_small", "measured_bytes": 18},
        ]

    return Plan(
        problems=["oversize_in_db"],
        where={"dags": ["pair"], "tasks": ["produce", "small"]},
        orphans=1,
        amend=amend,
        notes="By the REST API: PATCH over produce's reference, two POSTs beside small. The API never uses the backend.",
    )


def db_clean(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    tables = "xcom_v2" if airflow.version >= (3, 4) else "xcom"
    airflow.command("db", "clean", "--clean-before-timestamp", "2030-01-01T00:00:00+00:00", "--tables", tables, "--yes")
    airflow.trigger("pair", "manual__after_the_cleaning")
    airflow.wait({"pair": 2})
    return Plan(
        orphans=2,
        amend=lambda xcoms: [x for x in xcoms if x["run_id"].startswith("manual")],
        notes="`airflow db clean` took the rows of the first run; its objects stay. One more run followed.",
    )


def dag_run_deleted(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    run_id = airflow.postgres.query("SELECT run_id FROM dag_run")[0]
    airflow.trigger("pair", "manual__kept")
    airflow.wait({"pair": 2})
    airflow.rest("DELETE", f"/dags/pair/dagRuns/{quoted(run_id)}")
    return Plan(orphans=2, notes=f"The run {run_id} was deleted by the REST API; its objects stay.")


def local_path(airflow: Deployment) -> Plan:
    # Before universal-pathlib 0.3 (Airflow 3.2) an empty path means the root of the worker's disk.
    at_root = Path("/pair")
    if at_root.exists():
        raise RuntimeError(f"{at_root} is in the way: Airflow would write there")
    try:
        airflow.start(triggerer=False)
        airflow.wait({"pair": 1})
    finally:
        airflow.stop()
        shutil.rmtree(at_root, ignore_errors=True)

    def amend(xcoms):
        for x in xcoms:
            x["storage"] = "other"
        return xcoms

    return Plan(
        problems=["local_path"],
        where={"dags": ["pair"], "tasks": ["consume", "produce", "small"]},
        threshold=0,
        amend=amend,
        notes="The path is empty and the threshold 0: values are files on the worker's own disk.",
    )


def trigger_end(airflow: Deployment) -> Plan:
    airflow.start()
    airflow.wait({"ended": 1})
    direct = airflow.version >= (3, 0)

    def amend(xcoms):
        return [{**x, "storage": "db", "by_design": "triggerer"} for x in xcoms] if direct else xcoms

    return Plan(
        problems=["oversize_in_db"] if direct else [],
        where={"dags": ["ended"], "tasks": ["by_trigger"]} if direct else {},
        amend=amend,
        notes="A trigger ends the task and gives its XComs (TaskSuccessEvent). "
        + ("They are written without the backend." if direct else "They are written through the backend."),
    )


def upgraded(airflow: Deployment) -> Plan:
    """The rows of two runs of Airflow 2, the second with pickling, taken along by the migration to Airflow 3."""
    pickling = "AIRFLOW__CORE__ENABLE_XCOM_PICKLING"
    before = Deployment(
        "2.11.2",
        install("2.11.2"),
        airflow.postgres,
        airflow.redis,
        airflow.s3,
        airflow.folder / "before",
        ["pair"],
        {},
    )
    try:
        before.start(triggerer=False)
        before.wait({"pair": 1})
        before.stop()
        before.change({pickling: "True"})
        before.start(triggerer=False)
        before.trigger("pair", "manual__pickled")
        before.wait({"pair": 2})
    finally:
        before.stop()
    airflow.command("db", "migrate")
    airflow.start(triggerer=False)
    airflow.trigger("pair", "manual__after_the_upgrade")
    airflow.wait({"pair": 3})
    return Plan(
        orphans=2,
        amend=lambda xcoms: [x for x in xcoms if x["run_id"] != "manual__pickled" or x["storage"] == "db"],
        notes="Airflow 2.11.2 ran twice, the second time with enable_xcom_pickling; then `airflow db migrate`, and one run more. "
        "The pickled references are in _xcom_archive alone: no row of xcom refers to their two objects. "
        "The migrated schema differs from a fresh one and is beside this file.",
    )


SCENARIOS = {
    "healthy": Scenario(healthy, dags=("sizes", "mapped", "flow", "legacy")),
    "worker-bypass": Scenario(worker_bypass, dags=("sizes", "mapped", "flow", "legacy")),
    "threshold-disabled": Scenario(threshold_disabled, dags=("pair", "mapped"), xcom={THRESHOLD: None}),
    "backend-inactive": Scenario(backend_inactive, dags=("pair", "mapped")),
    "path-changed": Scenario(path_changed),
    "path-changed-rerun": Scenario(path_changed_rerun),
    "objects-missing": Scenario(objects_missing),
    "objects-empty": Scenario(objects_empty),
    "key-twice": Scenario(key_twice, dags=("twice",)),
    # Not on Airflow 2: its worker reads the decision from S3 before it forks, and the forked task then fails with
    # "This class is not fork-safe" (fsspec). A branch at threshold 0 is no silent failure there.
    "skipmixin": Scenario(skipmixin, dags=("flow",), xcom={THRESHOLD: "0"}, since=(3, 0)),
    "rest-patch": Scenario(rest_patch, since=(3, 0)),
    "db-clean": Scenario(db_clean),
    "dag-run-deleted": Scenario(dag_run_deleted, since=(3, 0)),
    "pickled": Scenario(
        pickled, dags=("pair", "sizes"), xcom={"AIRFLOW__CORE__ENABLE_XCOM_PICKLING": "True"}, until=(2, 11)
    ),
    "trigger-end": Scenario(trigger_end, dags=("ended", "triggers"), since=(2, 10)),
    "upgraded": Scenario(upgraded, since=(3, 0), own_schema=True),
    "local-path": Scenario(local_path, xcom={PATH: "", THRESHOLD: "0"}),
}


def broken(reason: str, which: Callable[[dict], bool]) -> Callable[[list[dict]], list[dict]]:
    return lambda xcoms: [{**x, "broken": reason} if which(x) else x for x in xcoms]


def keys_of(airflow: Deployment, dag_id: str, task_id: str) -> list[str]:
    return [entry["key"] for entry in airflow.bucket("list") if re.search(f"/{dag_id}/[^/]+/{task_id}/", entry["key"])]


def quoted(run_id: str) -> str:
    return run_id.replace("+", "%2B").replace(":", "%3A")


def run_again(airflow: Deployment, dag_id: str, task_id: str, state: str, run_id: str = "%") -> None:
    """Clears a task of one run (`run_id` as LIKE has it), and waits until it has run once more and ended, like its run, in `state`."""
    working = " AND working_set" if airflow.version >= (3, 4) else ""
    look = (
        "SELECT t.run_id, t.start_date, t.state, r.state AS run_state FROM task_instance t "
        "JOIN dag_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id "
        f"WHERE t.dag_id = '{dag_id}' AND t.task_id = '{task_id}' AND t.run_id LIKE '{run_id}'{working}"
    )
    (before,) = airflow.postgres.rows(look)
    if airflow.version >= (3, 0):
        what = {"dag_run_id": before["run_id"], "task_ids": [task_id], "dry_run": False, "only_failed": False}
        airflow.rest("POST", f"/dags/{dag_id}/clearTaskInstances", {**what, "reset_dag_runs": True})
    else:
        # By date: the scheduled run's lies in the past, those of runs started by hand are of today.
        until = ["--end-date", "2026-11-02"] if run_id != "%" else []
        airflow.command("tasks", "clear", dag_id, "--task-regex", f"^{task_id}$", *until, "--yes")
    for _ in range(180):
        airflow.processes.check()
        now = airflow.postgres.rows(look)
        started_again = len(now) == 1 and now[0]["start_date"] not in (None, before["start_date"])
        if started_again and now[0]["state"] == now[0]["run_state"] == state:
            return
        time.sleep(1)
    raise TimeoutError(f"{dag_id}.{task_id} was cleared: {now}")


def record(
    name: str, release: str, airflow: Path, postgres: Postgres, redis: Redis, s3: S3, folder: Path, out: Path
) -> None:
    scenario = SCENARIOS[name]
    deployment = Deployment(release, airflow, postgres, redis, s3, folder, scenario.dags, scenario.xcom)
    deployment.bucket("create")
    try:
        started = datetime.now(timezone.utc)
        plan = scenario.play(deployment)
        deployment.stop()
        recorded = datetime.now(timezone.utc)
        runs = [
            [run["dag_id"], run["run_id"]] for run in postgres.rows("SELECT dag_id, run_id FROM dag_run ORDER BY id")
        ]
        asked = {"runs": runs, "threshold": plan.threshold, "bypass": plan.bypass, "airflow": deployment.version}
        xcoms = deployment.python("plan.py", stdin=json.dumps(asked))
        expected = {
            "xcoms": (amended := plan.amend(json.loads(xcoms))),
            "objects": {
                "live": sum(x["storage"] == "s3" and x.get("broken") not in ("missing", "leaked") for x in amended),
                "orphans": plan.orphans,
            },
            "problems": plan.problems,
            "where": plan.where,
        }
        # Beside the working folder first: a recording that is not what was planned is no fixture.
        target = folder / "fixtures" / name
        target.mkdir(parents=True)
        if scenario.own_schema:
            (target / "schema.sql").write_text(portable(postgres.dump("--schema-only")))
        else:
            shutil.copy(out / release / "schema.sql", target.parent)
        (target / "rows.sql").write_text(rows(postgres))
        write_json(target / "objects.json", deployment.bucket("list"))
        write_json(target / "expected.json", expected)
        write_json(target / "scenario.json", {
            "started_at": started.isoformat(timespec="seconds"),
            "recorded_at": recorded.isoformat(timespec="seconds"),
            "airflow": release,
            **json.loads(deployment.python("versions.py")),
            "server_version": postgres.version,
            "backend": deployment.environment.get(BACKEND_VARIABLE),
            "env": deployment.worker_environment(),
            "notes": plan.notes,
        })  # fmt: skip
        verify.verify(target, postgres)
        shutil.copytree(target, out / release / name, dirs_exist_ok=True)
    finally:
        deployment.stop()
        deployment.bucket("remove")


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


TABLES = [
    "alembic_version", "dag_run", "task_instance", "task_instance_history", "xcom", "xcom_v1", "xcom_v2",
    "_xcom_archive", "task_state_store", "asset_state_store",
]  # fmt: skip


def rows(postgres: Postgres) -> str:
    existing = postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    arguments = [f"--table=public.{table}" for table in TABLES if table in existing]
    dump = postgres.dump("--data-only", "--column-inserts", *arguments)
    if left := [table for table in existing if table.startswith("_airflow_deleted__xcom")]:
        dump += postgres.dump("--column-inserts", *(f'--table=public."{table}"' for table in left))
    return portable(dump)
