"""What a run needs of this machine, asked before anything is installed or started."""

import os
import shutil
import sys

from exporter import REPOSITORY
from services import BUILT_VERSITYGW, POSTGRES_BIN


def lacking(*, builds_exporter: bool) -> list[str]:
    """What is not there, each with what brings it."""
    found = []
    if not sys.platform.startswith("linux"):
        found.append(f"Linux: this is {sys.platform}")
    for program in ("initdb", "postgres", "pg_isready", "psql", "pg_dump"):
        if not (POSTGRES_BIN / program).exists():
            found.append(
                f"{POSTGRES_BIN / program}: install the PostgreSQL 15 server and client, or name the folder of its programs in XCOM_POSTGRES_BIN"
            )
            break
    for program in ("redis-server", "redis-cli"):
        if not shutil.which(program):
            found.append(f"{program}: install Redis")
    if not (shutil.which("versitygw") or BUILT_VERSITYGW.exists() or shutil.which("go")):
        found.append("go, to build the S3 server: install Go, or put versitygw into PATH")
    if os.getuid() == 0 and not shutil.which("setpriv"):
        found.append("setpriv, because PostgreSQL does not run as root: install util-linux, or be another user")
    if builds_exporter:
        if not shutil.which("node"):
            found.append("node: install the Node.js that package.json names")
        if not (REPOSITORY / "node_modules" / ".bin" / "tsc").exists():
            found.append("node_modules: run npm ci")
    return found


def require(*, builds_exporter: bool) -> None:
    if found := lacking(builds_exporter=builds_exporter):
        sys.exit("\n  ".join(["Cannot run Airflow here, this is missing:", *found]))
