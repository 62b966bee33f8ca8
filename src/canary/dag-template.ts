/**
 * The program of the canary's DAG file, which stands below its imports and its settings. Python 3.9 and newer. Guarded
 * by the tests in test/integration/canary and test/airflow/canary.py.
 */
export const PROGRAM = String.raw`
PAYLOAD_KEY = "canary_payload"
REPORT_KEY = "canary_report"
MOST_BYTES = 8 * 1024 * 1024  # no payload is larger, whatever the threshold is
STEP_TIMEOUT = timedelta(minutes=3)
DISTRIBUTIONS = {
    "airflow": "apache-airflow",
    "common_io": "apache-airflow-providers-common-io",
    "amazon": "apache-airflow-providers-amazon",
    "universal_pathlib": "universal-pathlib",
    "fsspec": "fsspec",
    "s3fs": "s3fs",
}


def xcom_classes():
    """The class in force on this worker, and the one that writes to the database whatever is configured."""
    try:
        from airflow.sdk.bases.xcom import BaseXCom
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:  # Airflow 2
        from airflow.models.xcom import BaseXCom, XCom
    return XCom, BaseXCom


def place_of(ti, step, its_task, key):
    """Names one row of this run."""
    return {"dag_id": ti.dag_id, "task_id": f"{step}_{its_task}", "run_id": ti.run_id, "map_index": -1, "key": key}


def stored_value(place):
    """What the row itself holds: the value, or the path of its object. None: there is no row."""
    _, plain = xcom_classes()
    if not hasattr(plain, "clear"):
        return plain.get_one(**place)
    from airflow.utils.session import create_session  # Airflow 2

    with create_session() as session:
        row = session.query(plain).filter_by(**place).first()
        return None if row is None else row.value


def delete(place):
    """Deletes a row and its object, as the class in force does it. A row that is not there is no error."""
    in_force, plain = xcom_classes()
    if not hasattr(plain, "clear"):
        in_force.delete(**place)
        return
    from airflow.utils.session import create_session  # Airflow 2

    with create_session() as session:
        for row in session.query(plain).filter_by(**place):
            in_force.purge(row, session)
            session.delete(row)


def safe(text):
    """A name without anything that a name does not need."""
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", str(text))[:100]


def describe(error):
    """Class, code and party of an exception. Never its text, which may hold a value or a credential."""
    found = {"class": safe(f"{type(error).__module__}.{type(error).__qualname__}")}
    cause = error
    for _ in range(5):
        response = getattr(cause, "response", None)
        if isinstance(response, dict) and isinstance(response.get("Error"), dict):
            found["code"] = safe(response["Error"].get("Code"))
            found["request"] = safe(getattr(cause, "operation_name", "unknown"))
        following = cause.__cause__ or cause.__context__
        if following is None:
            break
        cause = following
    if cause is not error:
        found["cause"] = safe(f"{type(cause).__module__}.{type(cause).__qualname__}")
    return found


def attempt(operation, step):
    """What a step gave, and how it went. One that fails is told, and the task goes on."""
    started = time.monotonic()
    value, outcome = None, {"operation": operation, "ok": True}
    try:
        value = step()
    except BaseException as error:
        # Airflow's timeout is no Exception; whoever ends the process is not to be kept from it.
        if not isinstance(error, Exception) and type(error).__name__ != "AirflowTaskTimeout":
            raise
        outcome.update(ok=False, error=describe(error))
    outcome["seconds"] = round(time.monotonic() - started, 4)
    return value, outcome


def option(name):
    value = conf.get("common.io", f"xcom_objectstorage_{name}", fallback=None)
    return None if value is None else str(value)


def threshold_read():
    """The threshold as the backend reads it, in digits. None: Airflow refuses the text, and every push with it."""
    number, _ = attempt("read", lambda: conf.getint("common.io", "xcom_objectstorage_threshold", fallback=-1))
    return None if number is None else str(min(max(number, -1), 2**63))


def offloads(in_force):
    """Whether the class is the object storage backend, or one made from it."""
    return any(one.__name__ == "XComObjectStorageBackend" for one in in_force.__mro__)


def settings():
    """What this worker resolves."""
    in_force, _ = xcom_classes()
    threshold = option("threshold")
    versions = {"python": python_version()}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            versions[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "backend": safe(f"{in_force.__module__}.{in_force.__qualname__}"),
        "object_storage": offloads(in_force),
        # Whoever put a key and its secret where the id of a connection belongs gets no copy of them.
        "path": re.sub(r"://[^/]*:[^/]*@", "://***@", option("path") or "")[:500],
        "threshold": None if threshold is None else threshold if re.fullmatch(r"[\w.+-]{1,20}", threshold) else "***",
        "threshold_bytes": threshold_read(),
        "compression": safe(option("compression") or ""),
        "versions": versions,
    }


def payload(ti, its_task, length):
    """Text that no other row has: whoever pulls it makes it anew and compares. It is no JSON text."""
    nonce = hashlib.sha256(f"{ti.dag_id} {ti.run_id} {its_task}".encode()).hexdigest()
    head = f"xcom-canary {nonce} {length} "
    return head + hashlib.shake_256(nonce.encode()).hexdigest(length)[: length - len(head)]


def payload_length(found):
    """Just above the threshold of this worker."""
    threshold = int(found["threshold_bytes"] or -1)
    least = threshold + 64 if threshold >= 0 else 0
    return PAYLOAD_BYTES if least > MOST_BYTES else max(least, PAYLOAD_BYTES)


def pulled(ti, its_task):
    """Pulls what a pool has pushed, and says what came."""
    value = ti.xcom_pull(task_ids=f"look_{its_task}", key=PAYLOAD_KEY)
    if isinstance(value, str) and value.startswith("xcom-canary "):
        length = value.split(" ")[2:3]
        if length and length[0].isdigit() and int(length[0]) == len(value) <= MOST_BYTES + 64:
            return "equal" if value == payload(ti, its_task, len(value)) else "other"
    return "nothing" if value is None else "path" if isinstance(value, str) and "/" in value else "other"


def pull(operation, ti, its_task):
    got, outcome = attempt(operation, lambda: pulled(ti, its_task))
    if outcome["ok"]:
        outcome.update(ok=got == "equal", got=got)
    return outcome


def report(ti, step, name, operations, **more):
    """Leaves the report of a task in the database, then fails the task if a step of it failed."""
    failed = [outcome["operation"] for outcome in operations if not outcome["ok"]]
    told = {
        "canary": 1,
        "step": step,
        "pool": name,
        "pools": TASKS,
        "interval": INTERVAL.total_seconds(),
        "ok": not failed,
        "operations": operations,
        **more,
    }
    _, plain = xcom_classes()
    plain.set(value=told, **place_of(ti, step, TASKS[name], REPORT_KEY))
    print(told)
    if failed:
        raise RuntimeError(f"the canary failed to {', '.join(failed)}")


def forget_previous(ti, step, its_task):
    """Deletes what an ended run has left of this task: its report, and its payload if nobody cleaned it."""
    # A run that is still open has tasks to come that read both.
    ended = [run for run in map(ti.get_previous_dagrun, ("success", "failed")) if run is not None]
    if not ended:
        return
    before = max(ended, key=lambda run: run.logical_date)
    for key in (PAYLOAD_KEY, REPORT_KEY) if step == "look" else (REPORT_KEY,):
        delete({**place_of(ti, step, its_task, key), "run_id": before.run_id})


def file_system():
    """Imports what the first push or pull of a process imports, and asks nothing of anybody."""
    try:
        from airflow.sdk import ObjectStoragePath
    except ImportError:  # Airflow 2
        from airflow.io.path import ObjectStoragePath
    return ObjectStoragePath(option("path")).fs


def warm_up():
    """How long that took: some seconds, whatever the storage does. None: this worker has no object storage."""
    in_force, _ = xcom_classes()
    return attempt("warm up", file_system)[1]["seconds"] if offloads(in_force) and option("path") else None


def look(name, ti=None):
    """What this pool of workers resolves; a push above its threshold; a pull of it."""
    its_task = TASKS[name]
    place = place_of(ti, "look", its_task, PAYLOAD_KEY)
    found = settings()
    _, forgot = attempt("delete", lambda: forget_previous(ti, "look", its_task))
    operations = [] if forgot["ok"] else [forgot]
    warmed = warm_up()
    length = payload_length(found)
    value = payload(ti, its_task, length)
    _, pushed = attempt("push", lambda: ti.xcom_push(key=PAYLOAD_KEY, value=value))
    operations.append(pushed)
    form = None
    if pushed["ok"]:
        held, asked = attempt("look", lambda: stored_value(place))
        if asked["ok"] and held is not None:
            form = "value" if held == value else "reference"
        operations.append(pull("pull", ti, its_task))
    if len(POOLS) == 1:
        operations.append(attempt("delete", lambda: delete(place))[1])
    stored = {"bytes": length + 2, "form": form}
    report(ti, "look", name, operations, settings=found, payload=stored, warm_up_seconds=warmed)


def read(name, ti=None):
    """Pulls what every other pool has pushed."""
    attempt("delete", lambda: forget_previous(ti, "read", TASKS[name]))
    warmed = warm_up()
    operations = []
    for other, its_task in TASKS.items():
        told = None if other == name else stored_value(place_of(ti, "look", its_task, REPORT_KEY))
        if told and all(one["ok"] for one in told["operations"] if one["operation"] == "push"):
            operations.append({**pull("read", ti, its_task), "from": other})
    report(ti, "read", name, operations, warm_up_seconds=warmed)


def clean(name, ti=None):
    """Deletes the payload of this pool when all have read it. Fails, and with it the run, if a task did before."""
    its_task = TASKS[name]
    attempt("delete", lambda: forget_previous(ti, "clean", its_task))
    warmed = warm_up()
    _, deleted = attempt("delete", lambda: delete(place_of(ti, "look", its_task, PAYLOAD_KEY)))
    report(ti, "clean", name, [deleted], warm_up_seconds=warmed)
    for step in ("look", "read"):
        told = stored_value(place_of(ti, step, its_task, REPORT_KEY))
        if not told or not told["ok"]:
            raise RuntimeError(f"{step}_{its_task} failed")


with DAG(
    dag_id=DAG_ID,
    description="What each pool of workers does with XComs (airflow-xcom-exporter)",
    schedule=INTERVAL,
    start_date=datetime.fromisoformat("2024-01-01T00:00:00+00:00"),
    catchup=False,
    # A pool that is down holds its run open; the others go on in the next ones.
    max_active_runs=4,
    dagrun_timeout=3 * INTERVAL,
    default_args={"retries": RETRIES, "retry_delay": timedelta(seconds=30), "execution_timeout": STEP_TIMEOUT},
    tags=["airflow-xcom-exporter"],
):
    earlier = []
    for step in (look, read, clean) if len(POOLS) > 1 else (look,):
        rule = "all_success" if step is look else "all_done"
        tasks = [
            task(task_id=f"{step.__name__}_{TASKS[name]}", trigger_rule=rule, **where)(step)(name)
            for name, where in POOLS.items()
        ]
        for one in earlier:
            one >> tasks
        earlier = tasks
`;
