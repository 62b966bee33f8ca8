"""What can be recorded: how Airflow is set up, what is done to it, and what must then be found."""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import verify
from deployment import BUCKET, POOL_BUCKET, XCOM_ENVIRONMENT, Deployment
from releases import RELEASES, install
from services import S3, Postgres, Redis, portable

WORKFLOWS = {"sizes": 1, "mapped": 1, "flow": 1, "child": 1, "legacy": 1}
BACKEND_VARIABLE = "AIRFLOW__CORE__XCOM_BACKEND"
PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
COMPRESSION = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"
POOL_PATH = f"s3://aws_xcom@{POOL_BUCKET}/pool"
PROBE = "/.airflow-xcom-exporter/"
SOON_FOUND_DEAD = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "5",
}
STATE_STORES = {
    "AIRFLOW__WORKERS__STATE_STORE_BACKEND": "airflow.providers.common.io.state_store.backend.StateStoreObjectStorageBackend",
    "AIRFLOW__COMMON_IO__STATE_STORE_OBJECTSTORAGE_PATH": XCOM_ENVIRONMENT[PATH],
}


@dataclass
class Plan:
    """What a scenario ends with. `xcoms` is filled from the DAGs' own tables, then amended by the scenario."""

    problems: list[str] = field(default_factory=list)
    where: dict[str, list[str]] = field(default_factory=dict)
    orphans: int = 0
    states: int = 0  # objects of task and asset state stores
    threshold: int = 1000
    bypass: list[str] = field(default_factory=list)
    amend: Callable[[list[dict]], list[dict]] = lambda xcoms: xcoms
    notes: str = ""
    undecided: bool = False  # neither a problem nor health can be said


@dataclass(frozen=True)
class Scenario:
    play: Callable[[Deployment], Plan]
    dags: tuple[str, ...] = ("pair",)
    xcom: dict[str, str | None] = field(default_factory=dict)
    since: tuple[int, int] = (2, 9)
    until: tuple[int, int] = (99, 0)
    more_buckets: tuple[str, ...] = ()
    own_schema: bool = False  # the schema is not the one a fresh database of this release has
    only: tuple[str, ...] = ()  # these releases and no others
    but: tuple[tuple[int, int], ...] = ()  # not these
    why: str = ""  # why not on the others
    shared: bool = False  # needs no Airflow of its own: neither settings nor processes change
    watched: bool = True  # the exporter samples all the while; not where the settings it shares with the workers change

    def possible_on(self, release: str) -> bool:
        if chosen := RELEASES[release].get("scenarios"):
            return any(SCENARIOS[name] is self for name in chosen)
        if self.only:
            return release in self.only
        version = tuple(int(part) for part in release.split(".")[:2])
        return self.since <= version <= self.until and version not in self.but


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


def misspelt_pool(airflow: Deployment) -> Plan:
    misspelt = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORE_THRESHOLD"
    airflow.legacy = {THRESHOLD: None, misspelt: airflow.environment[THRESHOLD]}
    airflow.start()
    airflow.wait({"sizes": 1, "legacy": 1})
    return Plan(
        problems=["worker_bypass"],
        where={"dags": ["legacy"], "tasks": ["edges", "extract", "rows"], "queues": ["legacy"], "hosts": ["airflow-worker-legacy-0"]},
        bypass=["legacy"],
        notes="The variable of the threshold is misspelt for the worker of queue `legacy`.",
    )  # fmt: skip


def path_changed(airflow: Deployment) -> Plan:
    return changed(airflow, {PATH: f"s3://aws_xcom@{BUCKET}/xcom-v2"}, ".../xcom, then Airflow was restarted with .../xcom-v2")


def connection_changed(airflow: Deployment) -> Plan:
    other = {
        PATH: f"s3://aws_other@{BUCKET}/xcom",
        "AIRFLOW_CONN_AWS_OTHER": airflow.environment["AIRFLOW_CONN_AWS_XCOM"],
    }
    plan = changed(airflow, other, "connection aws_xcom, then Airflow was restarted with aws_other, the same in all but its name,")
    return rerun_after_change(airflow, plan)


def dashed_keys(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"dashed": 1})
    return Plan(notes="Keys that hold dashes, dots, spaces and slashes, above the threshold.")


def numpy_values(airflow: Deployment) -> Plan:
    airflow.legacy = dict.fromkeys(XCOM_ENVIRONMENT)
    airflow.start(triggerer=False)
    airflow.wait({"numbers": 1, "numbers_bypassing": 1})
    return Plan(
        problems=["worker_bypass"],
        # `below` leaves as many rows there, each of them as stored larger than the threshold, and none as measured.
        where={"dags": ["numbers_bypassing"], "tasks": ["above"], "queues": ["legacy"], "hosts": ["airflow-worker-legacy-0"]},
        bypass=["legacy"],
        notes="Values of numpy around the threshold; and some of them by a worker without the backend.",
    )  # fmt: skip


def own_keys(airflow: Deployment) -> Plan:
    airflow.start()
    airflow.wait({"own": 1, "own_child": 1})
    airflow.python("past_depends.py", "own", "report")
    on_3 = airflow.version >= (3, 0)
    if on_3:
        run_id = airflow.postgres.query("SELECT run_id FROM dag_run WHERE dag_id = 'own'")[0]
        entries = f"/dags/own/dagRuns/{quoted(run_id)}/taskInstances/report/xcomEntries"
        airflow.rest("PATCH", f"{entries}/count", {"value": 8, "map_index": -1})
        airflow.rest("POST", entries, {"key": "by_hand", "value": 42, "map_index": -1})
        airflow.rest("POST", entries, {"key": "by_hand_true", "value": True, "map_index": -1})

    def amend(xcoms):
        rest = {"storage": "db", "by_design": "rest_api"}
        for x in xcoms:
            if x["key"].startswith("_airflow_loop_"):
                x |= {"storage": "db", "by_design": "scheduler"}
            if on_3 and x["key"] == "count":
                x |= {**rest, "measured_bytes": 1}
        report = next(x for x in xcoms if (x["dag_id"], x["key"]) == ("own", "zero"))
        # Airflow 2 writes even that by way of the backend.
        by_design = {"storage": "db", "by_design": "scheduler"} if on_3 else {}
        xcoms = [*xcoms, {**report, "key": "past_depends_met", "measured_bytes": 4, **by_design}]
        by_hand = [
            {**report, **rest, "key": "by_hand", "measured_bytes": 2},
            {**report, **rest, "key": "by_hand_true", "measured_bytes": 4},
        ]
        return [*xcoms, *by_hand] if on_3 else xcoms

    return Plan(
        threshold=0,
        # The object that the PATCH took the row from, and from 3.3 that of TriggerDagRunOperator's link: see skipmixin.
        orphans=2 if airflow.version >= (3, 3) else int(on_3),
        amend=amend,
        notes="Threshold 0, and what Airflow writes itself: that past runs allow a skip, why a loop went on, a link; "
        "and numbers and `true` by the REST API.",
    )


def thresholds(airflow: Deployment, before: int, after: int) -> Plan:
    airflow.change({THRESHOLD: str(before)})
    airflow.start(triggerer=False)
    airflow.wait({"steps": 1})
    airflow.stop()
    airflow.change({THRESHOLD: str(after)})
    airflow.start(triggerer=False)
    airflow.trigger("steps", "manual__after_the_change")
    airflow.wait({"steps": 2})

    def amend(xcoms):
        for x in xcoms:
            held = before if x["run_id"].startswith("scheduled") else after
            x["storage"] = "s3" if x["measured_bytes"] >= held else "db"
        return xcoms

    return Plan(
        threshold=after,
        amend=amend,
        notes=f"One run with threshold {before}, then Airflow was restarted with {after} and ran once more: both runs did as they were told.",
    )


def two_thresholds(airflow: Deployment) -> Plan:
    return thresholds(airflow, 1000, 3000)


def threshold_lowered(airflow: Deployment) -> Plan:
    return thresholds(airflow, 3000, 1000)


def pool_own_bucket(airflow: Deployment) -> Plan:
    airflow.legacy = {PATH: POOL_PATH}
    airflow.start()
    airflow.wait({"pair": 1, "legacy": 1})
    return Plan(notes="The workers of queue `legacy` write to a bucket of their own, and the exporter is told both paths.")


def json_text(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"texts": 1})
    return Plan(
        problems=["backend_inactive"],
        where={"dags": ["texts"], "tasks": ["dumps", "echoes", "number", "truth"], "queues": ["default"]},
        threshold=0,
        bypass=["default"],
        notes="Threshold 0, the variable that names the backend is misspelt, and tasks return text that is JSON.",
    )


def changed(airflow: Deployment, variables: dict[str, str | None], words: str) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    airflow.stop()
    airflow.change(variables)
    airflow.start(triggerer=False)
    airflow.trigger("pair", "manual__after_the_change")
    airflow.wait({"pair": 2})
    return Plan(
        problems=["path_mismatch"],
        where={"dags": ["pair"], "tasks": ["consume", "produce"]},
        amend=broken("path_mismatch", lambda x: x["storage"] == "s3" and x["run_id"].startswith("scheduled")),
        notes=f"One run under {words} and ran once more.",
    )


def path_changed_rerun(airflow: Deployment) -> Plan:
    return rerun_after_change(airflow, path_changed(airflow))


def rerun_after_change(airflow: Deployment, plan: Plan) -> Plan:
    run_again(airflow, "pair", "consume", "success", run_id="scheduled%")
    kept = airflow.version >= (3, 4)

    def amend(xcoms):
        xcoms = plan.amend(xcoms)
        consume = next(x for x in xcoms if x["task_id"] == "consume" and x["run_id"].startswith("scheduled"))
        # No task reads the value of an earlier try, wherever it lies.
        first = {name: value for name, value in consume.items() if name != "broken"} | {"archived_try": True}
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


def object_overwritten(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    airflow.bucket("overwrite", *keys_of(airflow, "pair", "produce"))
    run_again(airflow, "pair", "consume", "success")

    def amend(xcoms):
        produce = next(x for x in xcoms if (x["task_id"], x["storage"]) == ("produce", "s3"))
        del produce["measured_bytes"]  # what lies there now is another's
        return handed_the_path(airflow, xcoms)

    return Plan(
        problems=["path_leaked"],
        where={"dags": ["pair"], "tasks": ["consume"]},
        amend=amend,
        notes="The object of `produce` was overwritten with text that is no JSON; no observer can tell. Then `consume` was cleared "
        "and ran again: it was handed the path and pushed it on.",
    )


def handed_the_path(airflow: Deployment, xcoms: list[dict]) -> list[dict]:
    """`consume` has run again and got the path of produce's object for a value."""
    consume = next(x for x in xcoms if x["task_id"] == "consume")
    first = {**consume, "archived_try": True}
    consume |= {"storage": "s3", "broken": "leaked", "note": "holds the path of produce's object"}
    del consume["measured_bytes"]
    return [*xcoms, first] if airflow.version >= (3, 4) else xcoms


def connection_lost(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})

    def amend(xcoms):
        xcoms = broken("path_mismatch", lambda x: x["storage"] == "s3")(xcoms)
        return handed_the_path(airflow, xcoms)

    return Plan(
        problems=["path_leaked", "path_mismatch"],
        where={"dags": ["pair"], "tasks": ["consume", "produce"]},
        amend=amend,
        notes="This release leaves the connection id out of what it stores, and cannot read it back: `consume` was handed the path.",
    )


def mapped_upstream(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"gathers": 1})

    def amend(xcoms):
        first = next(x for x in xcoms if x["task_id"] == "first")
        first |= {"storage": "s3", "broken": "leaked", "note": "holds the path of the object of part's first instance"}
        del first["measured_bytes"]
        return xcoms

    return Plan(
        problems=["path_leaked"],
        where={"dags": ["gathers"], "tasks": ["first"]},
        amend=amend,
        notes="This release hands a task that takes the values of a mapped one their paths: `first` pushed one of them on.",
    )


def worker_killed(airflow: Deployment) -> Plan:
    """A worker dies between writing an object and writing its row; the next try writes both."""
    table = "xcom_v2" if airflow.version >= (3, 4) else "xcom"
    airflow.start(triggerer=False)
    pid_file = airflow.folder / "pid"
    until(lambda: pid_file.exists(), "the task started")
    with airflow.postgres.locked(table):
        pid_file.with_suffix(".go").touch()
        until(lambda: keys_of(airflow, "killed", "report"), "the object is written")
        for pid in map(int, pid_file.read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The API server would write the row for the dead.
        airflow.postgres.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%xcom%'"
        )
        time.sleep(1)
    airflow.wait({"killed": 1}, seconds=420)
    return Plan(
        orphans=1,
        notes="The process of the task was killed after it wrote the object and before it wrote the row; the task was tried again.",
    )


def until(condition: Callable[[], object], what: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s not yet: {what}")
        time.sleep(0.5)


def xcom_deleted(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    run_id = airflow.postgres.query("SELECT run_id FROM dag_run")[0]
    if airflow.version >= (3, 0):
        airflow.rest("DELETE", f"/dags/pair/dagRuns/{quoted(run_id)}/taskInstances/produce/xcomEntries/return_value")
    else:
        airflow.python("act.py", "forget", "pair", run_id, "produce", "return_value")
    return Plan(
        orphans=1,
        amend=lambda xcoms: [x for x in xcoms if (x["task_id"], x["key"]) != ("produce", "return_value")],
        notes="One XCom was deleted in the web interface; its object stays.",
    )


def rest_patch_path(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})
    run_id = airflow.postgres.query("SELECT run_id FROM dag_run")[0]
    entry = f"/dags/pair/dagRuns/{quoted(run_id)}/taskInstances/produce/xcomEntries/return_value"
    (key,) = keys_of(airflow, "pair", "produce")
    airflow.rest("PATCH", entry, {"value": f"{airflow.environment[PATH].removesuffix('/xcom')}/{key}", "map_index": -1})
    run_again(airflow, "pair", "consume", "success")
    kept_as_is = airflow.version >= (3, 2)

    def amend(xcoms):
        if kept_as_is:
            consume = next(x for x in xcoms if x["task_id"] == "consume")
            return [*xcoms, {**consume, "archived_try": True}] if airflow.version >= (3, 4) else xcoms
        for x in xcoms:
            if x["storage"] == "s3":
                x |= {"broken": "leaked", "as_text": True, "note": "holds the path of produce's object as JSON text"}
                del x["measured_bytes"]
        return xcoms

    return Plan(
        problems=[] if kept_as_is else ["path_leaked"],
        where={} if kept_as_is else {"dags": ["pair"], "tasks": ["consume", "produce"]},
        orphans=0 if kept_as_is else 1,
        amend=amend,
        notes="What the web interface shows of produce's XCom, its path, was saved again by the REST API (PATCH), and `consume` ran again"
        + (": it got the value." if kept_as_is else ": the path is stored as JSON text, which no reader takes for a reference."),
    )


def archived_missing(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"retried": 1})
    first = airflow.postgres.query("SELECT id FROM task_instance WHERE working_set IS NOT TRUE")
    gone = [key for key in keys_of(airflow, "retried", "flaky") if f"/ti-{first[0]}/" in key]
    airflow.bucket("delete", *gone)
    return Plan(
        amend=lambda xcoms: [{**x, "gone": True} if x.get("archived_try") and x["storage"] == "s3" else x for x in xcoms],
        notes="The object of a try that failed was deleted. Airflow gives no task what an archived try has left: nobody misses it.",
    )


def state_stores(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.trigger("stateful", "plain")
    airflow.wait({"stateful": 1})
    kept = airflow.postgres.query("SELECT count(*) FROM task_state_store"), airflow.postgres.query("SELECT count(*) FROM asset_state_store")
    if kept != (["3"], ["2"]):
        raise RuntimeError(f"the state stores hold {kept}")
    return Plan(
        states=5,
        notes="Task and asset state stores write under the same path as XComs, each with an object for every value. "
        "None of their five objects is an XCom's.",
    )


def kinds(airflow: Deployment) -> Plan:
    airflow.legacy = dict.fromkeys(XCOM_ENVIRONMENT)
    airflow.start(triggerer=False)
    airflow.wait({"kinds": 1, "kinds_bypassing": 1})
    return Plan(
        problems=["worker_bypass"],
        where={"dags": ["kinds_bypassing"], "queues": ["legacy"], "hosts": ["airflow-worker-legacy-0"]},
        bypass=["legacy"],
        notes="Values of every kind one byte below the threshold and at it; and the same by a worker without the backend.",
    )  # fmt: skip


def compressed(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"pair": 1})

    def amend(xcoms):
        for x in xcoms:
            if x["storage"] == "s3":
                x["compressed"] = True
        return xcoms

    return Plan(amend=amend, notes="Compression gzip: objects have the suffix .gz and another size than Airflow measured.")


def compression_unsupported(airflow: Deployment) -> Plan:
    airflow.start(triggerer=False)
    airflow.wait({"refused": 1}, state="failed")
    return Plan(
        problems=["compression_unsupported"],
        amend=lambda xcoms: [],
        notes="Compression snappy: the push of a large value raises (up to common-io 1.9 every push), and the task fails.",
    )


def disk_path(airflow: Deployment) -> Plan:
    folder = Path(airflow.environment[PATH].removeprefix("file://"))
    try:
        airflow.start(triggerer=False)
        airflow.wait({"pair": 1})
    finally:
        airflow.stop()
        shutil.rmtree(folder, ignore_errors=True)

    def amend(xcoms):
        for x in xcoms:
            if x["storage"] == "s3":
                x["storage"] = "other"
        return xcoms

    return Plan(
        amend=amend,
        undecided=True,
        notes="The path is file://: values are files in a folder, of which nobody can see whether it is shared.",
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
    # Not the scheduled one: the scheduler would make it anew.
    run_id = "manual__to_be_deleted"
    airflow.trigger("pair", run_id)
    airflow.wait({"pair": 2})
    if airflow.version >= (3, 0):
        airflow.rest("DELETE", f"/dags/pair/dagRuns/{run_id}")
    else:
        airflow.python("act.py", "delete", "pair", run_id)
    return Plan(orphans=2, notes=f"The run {run_id} was deleted; its objects stay.")


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


NO_TRIES = "These releases keep no row of an earlier try."
ONE_OF_EACH = ("2.11.2", "3.3.2", "3.4.0b2")
FOUR = ("2.10.5", "2.11.2", "3.3.2", "3.4.0b2")
FOUR_LINES = "Played on two releases of each line."
SAME_EVERYWHERE = "Told by settings and paths, which are the same on all releases: played on the newest of each line."
EARLIER_API = "The REST API of these releases writes no XCom."
SCENARIOS = {
    "healthy": Scenario(healthy, shared=True, dags=("sizes", "mapped", "flow", "legacy")),
    "sizes": Scenario(
        kinds, dags=("kinds",), but=((2, 9), (2, 10), (3, 1), (3, 2)),
        why="A size is told from the column of the value alone: one release of each kind is enough.",
    ),
    "compressed": Scenario(compressed, xcom={COMPRESSION: "gzip"}, only=ONE_OF_EACH, why=SAME_EVERYWHERE),
    "worker-bypass": Scenario(worker_bypass, dags=("sizes", "mapped", "flow", "legacy")),
    "misspelt-pool": Scenario(misspelt_pool, dags=("sizes", "legacy"), only=ONE_OF_EACH, why=SAME_EVERYWHERE),
    "threshold-disabled": Scenario(threshold_disabled, dags=("pair", "mapped"), xcom={THRESHOLD: None}),
    "backend-inactive": Scenario(backend_inactive, dags=("pair", "mapped"), watched=False),
    "compression-unsupported": Scenario(compression_unsupported, dags=("refused",), xcom={COMPRESSION: "snappy"}, only=ONE_OF_EACH, why=SAME_EVERYWHERE),
    "path-changed": Scenario(path_changed, watched=False),
    "path-changed-rerun": Scenario(path_changed_rerun, watched=False),
    "connection-changed": Scenario(connection_changed, watched=False),
    "connection-lost": Scenario(connection_lost, only=("2.9.1",), why="Mended in 2.9.2."),
    "mapped-upstream": Scenario(mapped_upstream, dags=("gathers",), only=("3.0.1",), why="Mended in 3.0.2."),
    "objects-missing": Scenario(objects_missing, shared=True),
    "objects-empty": Scenario(objects_empty, shared=True),
    "object-overwritten": Scenario(object_overwritten, shared=True),
    "archived-object-missing": Scenario(archived_missing, shared=True, dags=("retried",), since=(3, 4), why=NO_TRIES),
    "key-twice": Scenario(key_twice, shared=True, dags=("twice",)),
    "dashed-keys": Scenario(dashed_keys, dags=("dashed",)),
    "numpy-values": Scenario(numpy_values, dags=("of_numpy",), only=FOUR, why=FOUR_LINES),
    "own-keys": Scenario(own_keys, dags=("own",), xcom={THRESHOLD: "0"}, only=FOUR, why=FOUR_LINES),
    "two-thresholds": Scenario(two_thresholds, dags=("steps",), only=FOUR, why=FOUR_LINES, watched=False),
    "threshold-lowered": Scenario(threshold_lowered, dags=("steps",), only=FOUR, why=FOUR_LINES, watched=False),
    "pool-own-bucket": Scenario(
        pool_own_bucket, dags=("pair", "legacy"), xcom={"XCOM_EXPORTER_XCOM_PATH": f"{XCOM_ENVIRONMENT[PATH]},{POOL_PATH}"},
        more_buckets=(POOL_BUCKET,), only=FOUR, why=FOUR_LINES,
    ),
    "json-text": Scenario(
        json_text, dags=("texts",), only=FOUR, why=FOUR_LINES,
        xcom={BACKEND_VARIABLE: None, "AIRFLOW__CORE__XCOMBACKEND": XCOM_ENVIRONMENT[BACKEND_VARIABLE], THRESHOLD: "0"},
    ),
    "worker-killed": Scenario(worker_killed, shared=True, dags=("killed",)),
    # Not on Airflow 2: its worker reads the decision from S3 before it forks, and the forked task then fails with
    # "This class is not fork-safe" (fsspec). A branch at threshold 0 is no silent failure there.
    "skipmixin": Scenario(
        skipmixin, dags=("flow",), xcom={THRESHOLD: "0"}, since=(3, 0), why="On Airflow 2 the branch fails, and loudly."
    ),
    "rest-patch": Scenario(rest_patch, shared=True, since=(3, 0), why=EARLIER_API),
    "rest-patch-path": Scenario(rest_patch_path, shared=True, since=(3, 0), why=EARLIER_API),
    "xcom-deleted": Scenario(xcom_deleted, shared=True, but=((3, 0), (3, 1)), why="There is no way to delete one XCom in 3.0 and 3.1."),
    "db-clean": Scenario(db_clean, shared=True),
    "dag-run-deleted": Scenario(dag_run_deleted, shared=True),
    "pickled": Scenario(
        pickled, dags=("pair", "sizes"), xcom={"AIRFLOW__CORE__ENABLE_XCOM_PICKLING": "True"}, until=(2, 11),
        why="Airflow 3 pickles no XCom.",
    ),
    "trigger-end": Scenario(
        trigger_end, shared=True, dags=("ended",), since=(2, 10), why="Before 2.10 a trigger ends no task."
    ),
    "upgraded": Scenario(upgraded, since=(3, 0), own_schema=True, watched=False, why="Rows of Airflow 2 stay as they are."),
    "local-path": Scenario(local_path, xcom={PATH: "", THRESHOLD: "0"}),
    "disk-path": Scenario(disk_path, xcom={PATH: "file:///tmp/airflow-xcom-recording"}, only=ONE_OF_EACH, why=SAME_EVERYWHERE),
    "state-stores": Scenario(
        state_stores, dags=("stateful",), xcom=STATE_STORES, since=(3, 3), why="State stores came with 3.3."
    ),
}  # fmt: skip


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
    name: str,
    release: str,
    servers: tuple[Postgres, Redis, S3],
    folder: Path,
    out: Path,
    watch: Callable[[Deployment], None] | None = None,
    common: dict[str, Deployment] | None = None,
    played: Callable[[], None] = lambda: None,
) -> tuple[Deployment, dict]:
    """Plays a scenario and writes what it left. `watch` is called before anything runs and `played` when all is done;
    `common` keeps the Airflow that scenarios share, and its owner stops it. Gives the plan; the bucket stays."""
    scenario = SCENARIOS[name]
    if common is not None and scenario.shared:
        deployment = common.get(release) or running(release, servers, folder.parent / "shared")
        common[release] = deployment
    else:
        deployment = Deployment(release, install(release), *servers, folder, scenario.dags, scenario.xcom)
        deployment.more_buckets = scenario.more_buckets
    shares = common is not None and common.get(release) is deployment
    deployment.bucket("create")
    try:
        if shares:
            deployment.forget()
        if watch:
            watch(deployment)
        started = datetime.now(timezone.utc)
        for file in scenario.dags if shares else ():
            deployment.due(file)
        plan = scenario.play(deployment)
        played()
        if not shares:
            deployment.stop()
        expected = planned(deployment, plan)
        write_recording(name, deployment, started, plan, expected, out, folder / "recording")
    except BaseException:
        deployment.stop()
        if shares:
            del common[release]
        deployment.bucket("remove")
        raise
    return deployment, expected


def running(release: str, servers: tuple[Postgres, Redis, S3], folder: Path) -> Deployment:
    """An Airflow for every scenario that needs none of its own. Starting one costs more than most of them."""
    while folder.exists():
        folder = folder.with_name(folder.name + "-again")
    dags = sorted({dag for name, one in SCENARIOS.items() if one.shared and one.possible_on(release) for dag in one.dags})
    paused = {**SOON_FOUND_DEAD, "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
    deployment = Deployment(release, install(release), *servers, folder, dags, paused)
    deployment.start()
    return deployment


def planned(deployment: Deployment, plan: Plan) -> dict:
    runs = deployment.postgres.rows("SELECT dag_id, run_id FROM dag_run ORDER BY id")
    asked = {
        "runs": [[run["dag_id"], run["run_id"]] for run in runs],
        "threshold": plan.threshold,
        "bypass": plan.bypass,
        "airflow": deployment.version,
    }
    xcoms = plan.amend(json.loads(deployment.python("plan.py", stdin=json.dumps(asked))))
    absent = [x for x in xcoms if x.get("broken") in ("missing", "leaked") or x.get("gone")]
    live = sum(x["storage"] == "s3" and x not in absent for x in xcoms)
    return {
        "xcoms": xcoms,
        "objects": {"live": live, "orphans": plan.orphans, **({"states": plan.states} if plan.states else {})},
        "problems": plan.problems,
        "where": plan.where,
        **({"undecided": True} if plan.undecided else {}),
    }


def write_recording(
    name: str, deployment: Deployment, started: datetime, plan: Plan, expected: dict, out: Path, beside: Path
) -> None:
    release, postgres = deployment.release, deployment.postgres
    # Beside the working folder first: a recording that is not what was planned is no fixture.
    target = beside / name
    target.mkdir(parents=True)
    if SCENARIOS[name].own_schema:
        (target / "schema.sql").write_text(portable(postgres.dump("--schema-only")))
    else:
        shutil.copy(out / release / "schema.sql", target.parent)
    (target / "rows.sql").write_text(rows(postgres))
    states = verify.state_keys(postgres, "airflow")
    write_json(target / "objects.json", [
        {**entry, **({"state_store": True} if entry["key"] in states else {})}
        for entry in deployment.bucket("list") if PROBE not in entry["key"]
    ])  # fmt: skip
    write_json(target / "expected.json", expected)
    write_json(target / "scenario.json", {
        "started_at": started.isoformat(timespec="seconds"),
        "recorded_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "airflow": release,
        **json.loads(deployment.python("versions.py")),
        "server_version": postgres.version,
        "backend": deployment.environment.get(BACKEND_VARIABLE),
        "env": deployment.worker_environment(),
        "notes": plan.notes,
    })  # fmt: skip
    verify.verify(target, postgres)
    shutil.copytree(target, out / release / name, dirs_exist_ok=True)


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
