"""The pools of workers that the canary is run on: how each is set up, and what has to be said of it."""

from __future__ import annotations

import subprocess
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deployment import BUCKET, XCOM_ENVIRONMENT, Deployment
from releases import uv
from services import ACCESS_KEY, CACHE, SECRET_KEY, Processes, free_port, versitygw, wait_for_port

PATH = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
COMPRESSION = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"
READER = ("READERREADERREADER00", "reader-reader-reader-reader")
# Whoever is not told where S3 is looks for it in the cloud, and asks the machine for credentials.
HERE_ALONE = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}

Changes = dict[str, str | None]


@dataclass(frozen=True)
class Pool:
    """Unless something else is said, its workers are as they should be."""

    what: str
    changes: Callable[[Deployment, Stage], Changes] = lambda airflow, stage: {}
    push: bool = True
    form: str | None = "reference"
    base: str = "xcom"
    reads: bool = True  # what others have put below the same base
    heard: bool = True
    runs: bool = True  # there is a worker


@dataclass
class Stage:
    """What is beside Airflow for some of the pools, started when the first of them needs it."""

    processes: Processes
    folder: Path
    tls: str | None = field(default=None)

    def over_tls(self) -> str:
        """The same buckets under https, by a certificate of an authority of our own."""
        if self.tls:
            return self.tls
        for command in (
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=private -days 2",
            "req -newkey rsa:2048 -nodes -keyout s3.key -out s3.csr -subj /CN=127.0.0.1",
            "x509 -req -in s3.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out s3.pem -days 2 -extfile san.txt",
        ):
            (self.folder / "san.txt").write_text("subjectAltName=IP:127.0.0.1\n")
            subprocess.run(["openssl", *command.split()], check=True, capture_output=True, cwd=self.folder)
        port = free_port()
        process, log = self.processes.start(
            "s3-tls",
            [versitygw(), "--port", f"127.0.0.1:{port}", "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", "us-east-1",
             "--cert", str(self.folder / "s3.pem"), "--key", str(self.folder / "s3.key"),
             "posix", "--sidecar", str(self.folder / "s3-metadata"), str(self.folder / "buckets")],
        )  # fmt: skip
        wait_for_port(port, process, log)
        self.tls = f"https://127.0.0.1:{port}"
        return self.tls


def connection(endpoint: str, key: str = ACCESS_KEY, secret: str = SECRET_KEY, **extra: str) -> str:
    query = urllib.parse.urlencode({"endpoint_url": endpoint, "region_name": "us-east-1", **extra})
    return f"aws://{key}:{urllib.parse.quote(secret, safe='')}@/?{query}"


def denied(airflow: Deployment, stage: Stage) -> Changes:
    return {"AIRFLOW_CONN_AWS_XCOM": connection(airflow.s3.url, *READER)}


def lost(airflow: Deployment, stage: Stage) -> Changes:
    return {PATH: f"s3://no_such_connection@{BUCKET}/xcom", "AWS_ENDPOINT_URL": airflow.s3.url, **HERE_ALONE}


def private(airflow: Deployment, stage: Stage) -> Changes:
    return {"AIRFLOW_CONN_AWS_XCOM": connection(stage.over_tls(), verify=str(stage.folder / "ca.pem"))}


def bundle(airflow: Deployment, stage: Stage) -> Changes:
    return {"AIRFLOW_CONN_AWS_XCOM": connection(stage.over_tls()), "AWS_CA_BUNDLE": str(stage.folder / "ca.pem")}


def pathlib(airflow: Deployment, stage: Stage) -> Changes:
    """A universal-pathlib of later years, in front of the one that fits."""
    target = CACHE / "overlays" / "universal-pathlib-0.3.10"
    if not target.exists():
        subprocess.run(
            [uv(), "pip", "install", "-q", "--python", airflow.airflow / "python", "--no-deps", "--target", target,
             "universal-pathlib==0.3.10", "pathlib-abc==0.5.2"],
            check=True,
        )  # fmt: skip
    return {"PYTHONPATH": f"{target}:{airflow.dags}"}


POOLS = {
    "default": Pool("as it should be"),
    "legacy": Pool("without the three settings", lambda a, s: dict.fromkeys(XCOM_ENVIRONMENT), form="value", base="", reads=False),
    "denied": Pool("its credentials may read and not write", denied, push=False, form=None),
    "elsewhere": Pool("another path", lambda a, s: {PATH: f"s3://aws_xcom@{BUCKET}/elsewhere"}, base="elsewhere"),
    "lost": Pool("its path names a connection that does not exist", lost, push=False, form=None, reads=False),
    "codec": Pool("a compression that does not exist", lambda a, s: {COMPRESSION: "zstandard"}, push=False, form=None),
    # Airflow's file system for S3 does not read what the connection says of TLS.
    "private": Pool("S3 by TLS under a private authority, given as `verify` of the connection", private, push=False, form=None, reads=False),
    "bundle": Pool("the same, given as `AWS_CA_BUNDLE`", bundle),
    "pathlib": Pool("universal-pathlib 0.3.10", pathlib, push=False, form=None, reads=False),
    "down": Pool("no worker runs", runs=False, heard=False),
}
SCENARIOS = {
    "three": ("default", "legacy", "denied"),
    "one": ("default",),
    "settings": ("default", "elsewhere", "lost", "codec", "private", "bundle"),
    "pathlib": ("default", "pathlib"),
    "down": ("default", "down"),
    "detect": ("default", "legacy"),
}


def expected(queue: str, queues) -> dict[str, object] | None:
    """What has to be said of a pool: by operation whether it worked, and what the row held; None: nothing is heard."""
    pool = POOLS[queue]
    if not pool.heard:
        return None
    told: dict[str, object] = {"push": pool.push, "form": pool.form, "delete": True}
    if pool.push:
        told["pull"] = True
    if len(queues) > 1:
        told["read"] = {
            other: POOLS[other].form == "value" or (pool.reads and pool.base == POOLS[other].base)
            for other in queues
            if other != queue and POOLS[other].heard and POOLS[other].push
        }
    return told


def problems(queues) -> list[str]:
    """What the exporter has to say of all of them, and nothing else that a canary alone can tell."""
    heard = {queue: expected(queue, queues) for queue in queues}
    fails = any(told and (not told["push"] or not all(told.get("read", {}).values())) for told in heard.values())
    return sorted(
        ["canary_failing"] * fails
        + ["canary_silent"] * any(told is None for told in heard.values())
        + ["worker_settings_differ"] * bool({"legacy", "elsewhere", "lost"} & {*queues})
    )
