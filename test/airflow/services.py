"""Real servers on loopback for a recording: PostgreSQL, Redis, an S3 server that verifies signatures."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

CACHE = Path(os.environ.get("XCOM_AIRFLOW_CACHE", "~/.cache/airflow-xcom-exporter")).expanduser()
POSTGRES_BIN = Path(os.environ.get("XCOM_POSTGRES_BIN", "/usr/lib/postgresql/15/bin"))
VERSITYGW = "v1.8.0"
BUILT_VERSITYGW = CACHE / "bin" / "versitygw"

# Amazon's own documentation uses this pair; the slash makes the connection URI prove its quoting.
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

_taken: set[int] = set()


def free_port() -> int:
    """A port below the kernel's ephemeral range, so that no outgoing connection takes it first."""
    first = 20000 + os.getpid() % 100 * 100  # two recordings at a time seldom meet
    for port in range(first, 32000):
        if port in _taken:
            continue
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            _taken.add(port)
            return port
    raise RuntimeError("no free port below 32000")


def wait_for_port(port: int, process: subprocess.Popen, log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"exited with {process.returncode}: see {log}\n{log.read_text()[-2000:]}")
        with socket.socket() as s:
            s.settimeout(1)
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port} after {seconds} s: see {log}")


class Processes:
    """Child processes, each with a log file, ended together."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: list[tuple[str, subprocess.Popen]] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: list[str], **options) -> tuple[subprocess.Popen, Path]:
        log = self.logs / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, **options
            )
        self.running.append((name, process))
        return process, log

    def check(self) -> None:
        for name, process in self.running:
            if process.poll() is not None:
                log = self.logs / f"{name}.log"
                raise RuntimeError(f"{name} exited with {process.returncode}\n{log.read_text()[-3000:]}")

    def stop(self, seconds: float = 10) -> None:
        for _, process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + seconds
        for _, process in reversed(self.running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            # Whatever the process has forked is in its session; nothing of it may outlive the recording.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running.clear()


class Postgres:
    def __init__(self, processes: Processes, folder: Path) -> None:
        self.port = free_port()
        self.data = folder / "postgres"
        self.data.mkdir(parents=True)
        # PostgreSQL refuses to run as root: become nobody then.
        self.as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
        if self.as_nobody:
            os.chown(self.data, 65534, 65534)
        subprocess.run(
            [*self.as_nobody, POSTGRES_BIN / "initdb", "-D", self.data, "-U", "airflow", "-A", "trust",
             "-E", "UTF8", "--no-locale", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        process, log = processes.start(
            "postgres",
            [*self.as_nobody, str(POSTGRES_BIN / "postgres"), "-D", str(self.data), "-p", str(self.port),
             "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
             "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=300",
             "-c", "timezone=UTC"],
            cwd="/",
        )  # fmt: skip
        wait_for_port(self.port, process, log)
        while subprocess.run([POSTGRES_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode:
            time.sleep(0.1)
        self.version = self.query("SHOW server_version", "postgres")[0]

    def _client(self, program: str, database: str, *arguments: str) -> list[str]:
        return [
            str(POSTGRES_BIN / program), "-X" if program == "psql" else "--no-password",
            "-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow", "-d", database, *arguments,
        ]  # fmt: skip

    def query(self, sql: str, database: str = "airflow") -> list[str]:
        """The lines of an answer, for values without line ends of their own."""
        done = subprocess.run(
            self._client("psql", database, "-v", "ON_ERROR_STOP=1", "-qAt"),
            input=sql, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{done.stderr}\nin: {sql[:500]}")
        return done.stdout.rstrip("\n").split("\n") if done.stdout.strip("\n") else []

    @contextlib.contextmanager
    def locked(self, table: str, database: str = "airflow"):
        """Nobody writes to this table meanwhile; everybody reads it."""
        holder = subprocess.Popen(
            self._client("psql", database, "-qAt"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            holder.stdin.write(f"BEGIN; LOCK TABLE {table} IN SHARE MODE; SELECT 'locked';\n")
            holder.stdin.flush()
            if holder.stdout.readline().strip() != "locked":
                raise RuntimeError(f"{table} cannot be locked")
            yield
        finally:
            holder.stdin.close()
            holder.wait()

    def rows(self, select: str, database: str = "airflow") -> list:
        """The rows of a select, each a dict, by JSON: values of any kind survive."""
        lines = self.query(f"SELECT coalesce(json_agg(r), '[]') FROM ({select}) r", database)
        return json.loads("\n".join(lines))

    def dump(self, *arguments: str, database: str = "airflow") -> str:
        return subprocess.run(
            self._client("pg_dump", database, "--no-owner", "--no-privileges", "--no-comments", *arguments),
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def recreate(self, database: str, template: str = "template0") -> None:
        self.query(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)', "postgres")
        self.query(f'CREATE DATABASE "{database}" TEMPLATE "{template}"', "postgres")


class Redis:
    def __init__(self, processes: Processes) -> None:
        self.port = free_port()
        process, log = processes.start(
            "redis",
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"],
            cwd="/tmp",
        )
        wait_for_port(self.port, process, log)


class S3:
    """versitygw over a folder."""

    def __init__(self, processes: Processes, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        root, sidecar = folder / "buckets", folder / "s3-metadata"
        root.mkdir()
        sidecar.mkdir()
        process, log = processes.start(
            "s3",
            [versitygw(), "--port", f"127.0.0.1:{self.port}", "--access", ACCESS_KEY, "--secret", SECRET_KEY,
             "--region", "us-east-1", *options, "posix", "--sidecar", str(sidecar), str(root)],
        )  # fmt: skip
        wait_for_port(self.port, process, log)


def versitygw() -> str:
    if found := shutil.which("versitygw"):
        return found
    built = BUILT_VERSITYGW
    if not built.exists():
        print(f"building versitygw {VERSITYGW} (minutes, once)", flush=True)
        subprocess.run(
            ["go", "install", f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW}"],
            check=True, env={**os.environ, "GOBIN": str(built.parent)},
        )  # fmt: skip
    return str(built)


def clean_environment(airflow: Path) -> dict[str, str]:
    """Ours without anything that would configure Airflow or the AWS SDK behind the recording's back."""
    kept = {k: v for k, v in os.environ.items() if not re.match(r"AIRFLOW|AWS_|_AIRFLOW|PG|PYTHON", k)}
    return {**kept, "PATH": f"{airflow}:{kept['PATH']}", "PYTHONWARNINGS": "ignore"}


def portable(dump: str) -> str:
    """pg_dump's text without what psql alone understands and what depends on the server's version."""
    dropped = re.compile(r"^(\\|--|SET |SELECT pg_catalog\.set_config)")
    lines = [line for line in dump.split("\n") if line.strip() and not dropped.match(line)]
    return "\n".join(lines) + "\n"
