"""One Airflow as production runs it: scheduler, workers by Celery on two queues and, from 3.0, the API server between."""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from releases import migrate
from services import ACCESS_KEY, SECRET_KEY, S3, Postgres, Processes, Redis, clean_environment, free_port, wait_for_port

DAGS = Path(__file__).resolve().parent / "dags"
LIBRARIES = ("compat", "leaves", "triggers")  # beside the dags, without a dag of their own
BUCKET = "airflow-xcom"
POOL_BUCKET = "airflow-xcom-pool"  # of a scenario in which one pool has a bucket of its own
BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
FINAL = {"success", "failed", "skipped", "upstream_failed", "removed"}

# What the whole of Airflow has unless a scenario says otherwise; None takes a variable away.
XCOM_ENVIRONMENT = {
    "AIRFLOW__CORE__XCOM_BACKEND": BACKEND,
    "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"s3://aws_xcom@{BUCKET}/xcom",
    "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
}


class Deployment:
    def __init__(
        self, release, airflow: Path, postgres: Postgres, redis: Redis, s3: S3, folder: Path, dags, xcom
    ) -> None:
        self.postgres, self.redis, self.s3, self.airflow, self.folder = postgres, redis, s3, airflow, folder
        self.release = release
        self.version = tuple(int(part) for part in release.split(".")[:2])
        self.processes = Processes(folder / "logs")
        self.dags = folder / "dags"
        self.dags.mkdir(parents=True)
        for name in {*LIBRARIES, *dags}:
            (self.dags / f"{name}.py").symlink_to(DAGS / f"{name}.py")
        postgres.recreate("airflow", migrate(release, postgres, folder))
        postgres.recreate("celery")
        subprocess.run(["redis-cli", "-p", str(redis.port), "flushall"], check=True, stdout=subprocess.DEVNULL)

        connection = f"postgresql+psycopg2://airflow:airflow@127.0.0.1:{postgres.port}"
        endpoint = urllib.parse.quote(s3.url, safe="")
        self.environment = {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE": "False",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(b"not-a-secret-not-a-secret-not-a-").decode(),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "compat.worker_hostname",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{connection}/airflow",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis.port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://airflow:airflow@127.0.0.1:{postgres.port}/celery",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "3",
            "AIRFLOW__CELERY__OPERATION_TIMEOUT": "30",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs" / "tasks"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW_CONN_AWS_XCOM": (
                f"aws://{ACCESS_KEY}:{urllib.parse.quote(SECRET_KEY, safe='')}@/"
                f"?endpoint_url={endpoint}&region_name=us-east-1"
            ),
        }
        if self.version >= (3, 0):
            self.port = free_port()
            self.environment |= {
                "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}",
                "AIRFLOW__API__SECRET_KEY": "not-a-secret",
                "AIRFLOW__API_AUTH__JWT_SECRET": "not-a-secret-" * 6,
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
                # A machine that has much to do is no fault of anyone's.
                "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            }
        else:
            self.environment |= {"AIRFLOW__WEBSERVER__SECRET_KEY": "not-a-secret"}
        self.environment |= XCOM_ENVIRONMENT
        self.change(xcom)
        self.more_buckets: tuple[str, ...] = ()
        self.dues: dict[str, list[dict]] = {}
        self.legacy: dict[str, str | None] = {}  # what differs on the workers of queue `legacy`

    def change(self, variables: dict[str, str | None]) -> None:
        self.environment = {k: v for k, v in {**self.environment, **variables}.items() if v is not None}

    def _process_environment(self, extra: dict[str, str | None]) -> dict[str, str]:
        whole = {**clean_environment(self.airflow), **self.environment, "PYTHONPATH": str(self.dags), **extra}
        return {k: v for k, v in whole.items() if v is not None}

    def _start(self, name: str, *arguments: str, **extra: str | None) -> tuple[subprocess.Popen, Path]:
        environment = self._process_environment({"RECORDING_HOSTNAME": f"airflow-{name}-0", **extra})
        return self.processes.start(name, [str(self.airflow / "airflow"), *arguments], env=environment, cwd=self.folder)

    def start(self, triggerer: bool = True) -> None:
        if self.processes.running:
            return self.processes.check()
        if self.version >= (3, 0):
            address = ["--host", "127.0.0.1", "--port", str(self.port)]
            process, log = self._start("api-server", "api-server", *address, "--workers", "1")
            self._start("dag-processor", "dag-processor")
        self._start("scheduler", "scheduler", *([] if self.version >= (3, 0) else ["--skip-serve-logs"]))
        if triggerer:
            self._start("triggerer", "triggerer", "--skip-serve-logs")
        if self.version >= (3, 0):
            wait_for_port(self.port, process, log, 180)  # a worker that finds no API server fails its first tasks
        self.start_workers()

    def start_workers(self) -> None:
        for queue, extra in (("default", {}), ("legacy", self.legacy)):
            # With a name, the provider on Airflow 3 asks for others of that name before it forks, and with some versions
            # of kombu the forked pool then waits for ever. Celery of Airflow 2 cannot do without one.
            name = [] if self.version >= (3, 0) else ["--celery-hostname", f"{queue}@%h"]
            pid = str(self.folder / f"{queue}.pid")
            arguments = ["celery", "worker", "--queues", queue, "--skip-serve-logs", "--pid", pid, *name]
            self._start(f"worker-{queue}", *arguments, **{"PYTHONPATH": f"{self.dags}:{DAGS.parent / 'worker'}", **extra})

    def stop(self) -> None:
        self.processes.stop()

    def forget(self) -> None:
        """A running Airflow as if nothing had ever run, with every dag paused."""
        self.postgres.query("UPDATE dag SET is_paused = true")
        while self.postgres.query("SELECT 1 FROM dag_run WHERE state IN ('running', 'queued')"):
            self.processes.check()
            time.sleep(0.5)
        tables = self.postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in ("dag_run", "xcom", "xcom_v1"):
            if table in tables:
                self.postgres.query(f"DELETE FROM {table}")
        for table in tables:
            if table.startswith("_airflow_deleted__"):
                self.postgres.query(f'DROP TABLE "{table}"')

    def due(self, file: str, seconds: float = 180) -> None:
        """The dags of this file are not paused, and due once more."""
        dates = [f"next_dagrun{part}" for part in ("", "_data_interval_start", "_data_interval_end", "_create_after")]
        deadline = time.monotonic() + seconds
        while file not in self.dues:
            self.processes.check()
            known = self.postgres.rows(
                f"SELECT d.dag_id, {', '.join(dates)} FROM dag d JOIN serialized_dag s ON s.dag_id = d.dag_id "
                f"WHERE d.fileloc LIKE '%/{file}.py' ORDER BY d.dag_id"
            )
            # All dags of a file are written by one parsing.
            if known:
                self.dues[file] = known
            elif time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds} s no dag of {file}.py is known")
            else:
                time.sleep(0.5)
        for due in self.dues[file]:
            values = ", ".join(f"{name} = " + (f"'{due[name]}'" if due[name] else "NULL") for name in dates)
            self.postgres.query(f"UPDATE dag SET is_paused = false, {values} WHERE dag_id = '{due['dag_id']}'")

    def wait(self, runs: dict[str, int], seconds: float = 240, state: str = "success") -> None:
        """Until every DAG named has this many finished runs; all must have ended in `state`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.processes.check()
            counted = self.postgres.rows("SELECT dag_id, run_id, state FROM dag_run")
            finished = [run for run in counted if run["state"] in ("success", "failed")]
            bad = [run for run in finished if run["state"] != state]
            if bad:
                raise RuntimeError(f"not {state}: {bad}\n{self._unhappy_tasks()}")
            if all(sum(run["dag_id"] == dag for run in finished) >= n for dag, n in runs.items()):
                return
            time.sleep(1)
        raise TimeoutError(f"after {seconds} s: {counted}\n{self._unhappy_tasks()}")

    def _unhappy_tasks(self) -> str:
        return "\n".join(self.postgres.query(
            "SELECT concat_ws(' ', dag_id, task_id, state, queue, hostname, try_number) FROM task_instance "
            "WHERE state IS NULL OR state NOT IN ('success', 'skipped')"
        ))  # fmt: skip

    def command(self, *arguments: str, **extra: str | None) -> str:
        """An airflow command, run to its end."""
        done = subprocess.run(
            [self.airflow / "airflow", *arguments], env=self._process_environment(extra), cwd=self.folder,
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)}: {done.stdout[-1500:]}{done.stderr[-3000:]}")
        return done.stdout

    def trigger(self, dag_id: str, run_id: str, seconds: float = 90) -> None:
        """Starts a run, once Airflow knows the DAG."""
        known = f"SELECT 1 FROM serialized_dag WHERE dag_id = '{dag_id}'"
        deadline = time.monotonic() + seconds
        while not self.postgres.query(known) and time.monotonic() < deadline:
            time.sleep(1)
        self.command("dags", "trigger", dag_id, "--run-id", run_id)

    def python(self, script: str, *arguments: str, stdin: str = "") -> str:
        """The last line a script of this folder prints in the release's own Python; Airflow may log lines before it."""
        done = subprocess.run(
            [self.airflow / "python", Path(__file__).parent / script, *arguments],
            env=self._process_environment({}), input=stdin, capture_output=True, text=True, cwd=self.folder,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{script} {' '.join(arguments)}: {done.stderr[-3000:]}")
        return done.stdout.rstrip("\n").rpartition("\n")[2]

    def bucket(self, action: str, *keys: str) -> list[dict]:
        """list, delete or empty objects, by signed requests; with no key of every bucket."""
        connection = self.environment["AIRFLOW_CONN_AWS_XCOM"]
        buckets = [BUCKET] if keys else [BUCKET, *self.more_buckets]
        return [
            entry for bucket in buckets for entry in json.loads(self.python("bucket.py", action, connection, bucket, *keys))
        ]

    def rest(self, method: str, path: str, body: dict | None = None) -> dict:
        """The public REST API of Airflow 3."""
        headers = {"Content-Type": "application/json"}
        if not hasattr(self, "_token"):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/auth/token") as answer:
                self._token = json.load(answer)["access_token"]
        headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v2{path}", method=method, headers=headers,
            data=json.dumps(body).encode() if body is not None else None,
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text else {}

    def worker_environment(self) -> dict[str, str]:
        """What a correctly configured worker had, with this machine's folder replaced by Airflow's usual one."""
        return {k: v.replace(str(self.folder), "/opt/airflow") for k, v in sorted(self.environment.items())}
