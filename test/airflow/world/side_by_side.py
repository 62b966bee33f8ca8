#!/usr/bin/env python3
"""Puts a real worker's push and the exporter into the same worlds, side by side: rows.py has them, docs/worker-s3.md their sentences.

    npm run test:worker-s3                      every row, some minutes; writes WORKER-S3.md
    npm run test:worker-s3 -- --case proxy      the rows with this word, printed alone

A row is right where both work and ask in the same way, or both fail, and no warning is heard; or where the warning of the row is.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import authority  # noqa: E402
from door import Door  # noqa: E402
from releases import install  # noqa: E402
from rows import Case, cases  # noqa: E402

RELEASE = "3.4.0b2"
ROOT = HERE.parents[2]
TABLE = HERE.parent / "WORKER-S3.md"
PACKAGES = ("apache-airflow-providers-amazon", "s3fs", "aiobotocore", "botocore")
BUCKETS = ("xcoms", "ap-123456789012", "ap-abc123-s3alias")


class World:
    """Servers on loopback, and the two that are asked to go there."""

    def __init__(self, folder: Path) -> None:
        ca, certificate = authority.create(folder)
        (folder / "token").write_text("a-token")
        self.home = folder / "home"
        (self.home / ".aws").mkdir(parents=True)
        self.plain = Door(buckets=BUCKETS)
        self.tls = Door(buckets=BUCKETS, certificate=str(certificate))
        self.proxy = Door(buckets=BUCKETS, tunnel=self.tls.port)
        self.guarded = Door(buckets=BUCKETS, tunnel=self.tls.port, certificate=str(certificate))
        self.at = SimpleNamespace(
            plain=self.plain.url, tls=self.tls.url, proxy=self.proxy.url, guarded=self.guarded.url,
            ca=str(ca), certificate=str(certificate), token=str(folder / "token"), home=str(self.home),
        )  # fmt: skip
        self.python = install(RELEASE) / "python"
        self.worker = subprocess.Popen(
            [self.python, HERE / "push.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=self.environment({}),
        )  # fmt: skip

    def environment(self, more: dict) -> dict:
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "AIRFLOW_HOME": str(self.home),
            # Else botocore and the SDK both wait for an address that is not there.
            "AWS_EC2_METADATA_DISABLED": "true", "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0", **more,
        }  # fmt: skip

    def lay(self, case: Case) -> dict:
        for name in ("config", "credentials"):
            (self.home / ".aws" / name).write_bytes(getattr(case, name).encode(errors="surrogateescape"))
        place = f"conn@{case.bucket}" if case.named else case.bucket
        named = {"AIRFLOW_CONN_CONN": case.connection()} if case.named else {}
        path = {"AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"s3://{place}/xcom"}
        return self.environment({**path, **named, **case.env})

    def push(self, env: dict) -> tuple[dict, list]:
        self.worker.stdin.write(json.dumps(env) + "\n")
        self.worker.stdin.flush()
        said = next(line for line in self.worker.stdout if line.startswith("PUSH "))
        return json.loads(said.removeprefix("PUSH ")), self.take()

    def check(self, env: dict) -> tuple[dict, list]:
        done = exporter(["check", "--probe-only", "--json"], env)
        if not done.stdout:
            return {"refused": done.stderr.strip()}, self.take()
        return json.loads(done.stdout), self.take()

    def take(self) -> list:
        doors = {"plain": self.plain, "tls": self.tls, "proxy": self.proxy, "guarded": self.guarded}
        return [{**note, "door": name} for name, door in doors.items() for note in door.take()]

    def close(self) -> None:
        self.worker.stdin.close()
        self.worker.wait(10)
        for door in (self.plain, self.tls, self.proxy, self.guarded):
            door.close()


def exporter(arguments: list[str], env: dict) -> subprocess.CompletedProcess:
    command = ["node", str(ROOT / "dist/main.js"), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def warnings(env: dict) -> list[str]:
    """What `config` says. It opens no connection to the database, and wants one to be named."""
    said = exporter(["config"], {**env, "XCOM_EXPORTER_DATABASE_URL": "postgresql://u@127.0.0.1:1/db"}).stderr
    return [line.split(": warning: ", 1)[-1] for line in said.splitlines() if line]


def way(notes: list) -> dict | None:
    """How the object was written: who signed, for which region, to which host and through what."""
    put = next((note for note in notes if note.get("operation") == "PutObject" and note["status"] == 200), None)
    if put is None:
        return None
    asked = {
        (note["operation"], note["host"], json.dumps(named(note["asked"]), sort_keys=True))
        for note in notes if "asked" in note
    }  # fmt: skip
    tunnels = {(note["door"], note["proxy_user"]) for note in notes if note["operation"] == "CONNECT"}
    return {
        "host": put["host"],
        "bucket": put["bucket"],
        "signed by": put["signed_by"],
        "token": put["token"],
        "region": put["region"],
        "style": put["style"],
        # s3fs sends it behind the body where there is TLS.
        "checksum": bool(put["checksum"]),
        "door": put["door"],
        "proxy": [put["proxied"], put["proxy_user"], sorted(tunnels, key=str)],
        "sts": sorted(asked),
        "agent": any(note["operation"] == "ContainerCredentials" for note in notes),
    }


def named(asked: dict) -> dict:
    """Without a session's name that nobody gave, and without the duration that STS takes where none is given."""
    invented = ("botocore-session", "aws-sdk-js")
    return {
        name: value for name, value in asked.items()
        if not value.startswith(invented) and (name, value) != ("DurationSeconds", "3600")
    }  # fmt: skip


def words(of: dict | None) -> str:
    if of is None:
        return ""
    through = " through the proxy" if of["proxy"][0] or of["proxy"][2] else ""
    return f"{of['signed by'] or 'nobody'} in {of['region'] or 'no region'} at {of['host']}{through}"


def judge(case: Case, env: dict, world: World) -> dict:
    said, notes = world.push(env)
    worker = way(notes) if "pushed" in said else None
    answer, notes = world.check(env)
    steps = {step["check"]: step for step in answer.get("checks", [])}
    own = way(notes) if steps.get("put", {}).get("ok") and steps.get("get", {}).get("ok") else None
    heard = warnings(env)
    told = [*heard, *(step["detail"] for step in steps.values() if step["ok"] is False)]
    wrong = []
    if case.warning:
        if not any(case.warning in sentence for sentence in told):
            wrong.append(f"no word of {case.warning!r}: {told}")
    else:
        wrong += [f"a warning: {sentence}" for sentence in heard]
        if (worker is None) != (own is None):
            wrong.append("one works and the other fails")
        elif worker is not None and own is not None:
            wrong += [f"{name}: {worker[name]} / {own[name]}" for name in worker if worker[name] != own[name]]
    first = next((f"{step['check']}: {step['detail']}" for step in steps.values() if step["ok"] is False), "")
    failure = "; ".join(note for note in (said.get("failed"), said.get("message", "")[:90]) if note)
    return {
        "setting": case.setting, "case": case.case,
        "worker": words(worker) if "pushed" in said else f"fails: {failure}",
        "exporter": words(own) if own else f"fails: {answer.get('refused', first)[:110]}",
        "warning": next((sentence for sentence in told if case.warning and case.warning in sentence), ""),
        "wrong": wrong,
    }  # fmt: skip


def versions(world: World) -> str:
    code = f"from importlib.metadata import version\nprint(', '.join(f'{{n}} {{version(n)}}' for n in {PACKAGES!r}))"
    return subprocess.run([world.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def document(rows: list[dict], said: str) -> str:
    def cell(text: str) -> str:
        return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split()) or "-"

    right = sum(not row["wrong"] for row in rows)
    lines = [
        "# A worker's way to S3 and the exporter's, side by side", "",
        "Written by `npm run test:worker-s3`; not by hand. A real push through Airflow's object storage and `check --probe-only` get the",
        "same environment, connection and AWS files; the servers of world/door.py write down who asked how. A row is right where both",
        "go the same way or both fail, or where the exporter says that it does not.", "",
        f"Airflow {RELEASE} with {said}. Right: {right} of {len(rows)}.", "",
        "| setting | case | a worker | the exporter | its warning | |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        verdict = "**✗** " + "; ".join(row["wrong"]) if row["wrong"] else "✓"
        columns = [row[name] for name in ("setting", "case", "worker", "exporter", "warning")]
        lines.append("| " + " | ".join(cell(text) for text in [*columns, verdict]) + " |")
    return "\n".join([*lines, ""])


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--case", help="a part of a row's name: nothing is written")
    part = asked.parse_args().case
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        rows = []
        for case in cases(world.at):
            if part and part not in f"{case.setting}: {case.case}":
                continue
            row = judge(case, world.lay(case), world)
            for name in world.at.__dict__.values():
                row = {key: text.replace(name, "…") if isinstance(text, str) else text for key, text in row.items()}
            print("✗" if row["wrong"] else "✓", row["setting"], "/", row["case"], flush=True)
            if row["wrong"] or part:
                print(json.dumps(row, indent=1), flush=True)
            rows.append(row)
        if not part:
            TABLE.write_text(document(rows, versions(world)))
        world.close()
    return any(row["wrong"] for row in rows)


if __name__ == "__main__":
    sys.exit(main())
