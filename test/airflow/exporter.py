"""The exporter as it is shipped: compiled, and run as a process of its own."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from services import Processes, clean_environment, free_port, wait_for_port

REPOSITORY = Path(__file__).resolve().parents[2]
PROBLEM = re.compile(r'^airflow_xcom_problem\{(?=.*problem="([a-z0-9_]+)").*\} 1$')
SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
LOOKS = re.compile(r'^airflow_xcom_exporter_job_runs_total\{name="sample"\} (\d+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def build(folder: Path) -> Path:
    """The main.js of the bundle, in a folder of its own."""
    home = folder / "exporter"
    home.mkdir(parents=True)
    shutil.copy(REPOSITORY / "package.json", home)
    subprocess.run(
        [REPOSITORY / "node_modules" / ".bin" / "rolldown", "-c", "--dir", home / "dist"],
        check=True, cwd=REPOSITORY,
    )  # fmt: skip
    return home / "dist" / "main.js"


def environment(worker: dict[str, str]) -> dict[str, str]:
    """Nothing but what a worker has, what a scenario gives the exporter besides, and where programs are."""
    kept = {k: v for k, v in clean_environment(Path("/usr/bin")).items() if not k.startswith("XCOM_")}
    return {**kept, **{k: v for k, v in worker.items() if k.startswith(("AIRFLOW", "XCOM_EXPORTER_"))}}


def check(main: Path, worker: dict[str, str]) -> dict:
    """What `check --json` says, given the environment of a worker."""
    done = subprocess.run(
        ["node", str(main), "check", "--json"], env=environment(worker), capture_output=True, text=True, timeout=180
    )
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"check ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    said = json.loads(done.stdout)
    if "findings" not in said:  # before the API and `check` spoke with the same words
        said |= {
            "findings": [snake(finding) for problem in said["problems"] for finding in problem["findings"]],
            "cycle": {"coverage": said["coverage"]},
        }
        said["window"]["broken_references"] = said["window"]["broken"]
    return {"exit": done.returncode, **said}


def snake(finding: dict) -> dict:
    return {re.sub("[A-Z]", lambda m: "_" + m[0].lower(), name): value for name, value in finding.items()}


class Daemon:
    """`run`, sampling every few seconds, and someone who scrapes it every second."""

    def __init__(self, main: Path, worker: dict[str, str], processes: Processes, seconds: int = 5) -> None:
        self.port = free_port()
        self.seconds = seconds
        self.processes = processes
        self.scrapes = 0
        self.raised: dict[str, int] = {}  # problem -> scrapes in which it was 1
        self.first: dict[str, dict] = {}  # problem -> what the status said when it was first seen
        self.said: list[tuple[int, set[str]]] = []  # each scrape: how many looks had ended, and the problems that were 1
        process, log = processes.start(
            f"exporter-{self.port}",
            ["node", str(main), "run", "--web.listen-address", f"127.0.0.1:{self.port}",
             "--sample.schedule", f"*/{seconds} * * * * *", "--probe.schedule", "*/20 * * * * *"],
            env=environment(worker),
        )  # fmt: skip
        wait_for_port(self.port, process, log)
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
            return answer.read().decode()

    def problems(self) -> list[str]:
        return _problems(self.get("/metrics"))

    def metrics(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for line in self.get("/metrics").split("\n"):
            if m := SAMPLE.match(line):
                found.setdefault(m[1], []).append((dict(LABEL.findall(m[2] or "")), float(m[3])))
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples with these labels; None where there is none."""
        values = [v for have, v in self.metrics().get(name, []) if labels.items() <= have.items()]
        return sum(values) if values else None

    def cycles(self) -> int:
        return _looks(self.get("/metrics"))

    def late(self, looks: int, expected: list[str]) -> list[str]:
        """What it did not say all the time once it had looked again, after `looks` looks."""
        # One look may have been under way; the next has begun after whatever was done.
        return sorted({problem for ended, said in self.said if ended >= looks + 2 for problem in {*expected} - said})

    def settle(self, cycles: int = 2, seconds: float = 120) -> None:
        """Until it has ended this many more looks."""
        goal = self.cycles() + cycles
        deadline = time.monotonic() + seconds
        while self.cycles() < goal:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the exporter ended no {cycles} cycles in {seconds} s")
            time.sleep(0.5)

    def _watch(self) -> None:
        while not self._watching.wait(1):
            try:
                text = self.get("/metrics")
                raised = _problems(text)
                self.scrapes += 1
                self.said.append((_looks(text), {*raised}))
                for problem in raised:
                    self.raised[problem] = self.raised.get(problem, 0) + 1
                    if problem not in self.first:
                        self.first[problem] = json.loads(self.get(f"/api/v1/findings?problem={problem}"))
            except OSError:
                if self._watching.is_set():
                    return

    def stop(self) -> None:
        self._watching.set()
        self._watcher.join(timeout=30)


def _problems(metrics: str) -> list[str]:
    return sorted(m[1] for line in metrics.split("\n") if (m := PROBLEM.match(line)))


def _looks(metrics: str) -> int:
    return next((int(m[1]) for line in metrics.split("\n") if (m := LOOKS.match(line))), 0)


def built(given: str | None, folder: Path) -> Path:
    """main.js: the one that is given, or one built from the sources now."""
    return Path(os.path.abspath(given)) if given else build(folder)
