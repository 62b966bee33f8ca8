"""What the runs have shown: kept in results.json, and written for people into RESULTS.md."""

import contextlib
import fcntl
import json
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from releases import RELEASES
from scenarios import SCENARIOS

HERE = Path(__file__).resolve().parent
STORE, TABLE = HERE / "results.json", HERE / "RESULTS.md"
FIXTURES = HERE.parent / "fixtures" / "airflow"


def load() -> dict:
    return json.loads(STORE.read_text()) if STORE.exists() else {"cells": {}, "soaks": {}}


def save(kept: dict) -> None:
    STORE.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    TABLE.write_text(document(kept))


@contextlib.contextmanager
def kept_results():
    """What is known, to be changed; two runs at a time wait for each other."""
    with Path(tempfile.gettempdir(), "airflow-xcom-results.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = load()
        yield kept
        save(kept)


def note_release(release: str, refused: str | None) -> None:
    """Why it cannot be installed or set up here; None: it can."""
    with kept_results() as kept:
        refusals = kept.setdefault("refused", {})
        refusals.pop(release, None)
        if refused:
            refusals[release] = {"reason": refused, "at": datetime.now(timezone.utc).isoformat(timespec="seconds")}


def note_soak(outcome: dict) -> None:
    with kept_results() as kept:
        kept["soaks"][outcome["release"]] = outcome


def note_cell(release: str, scenario: str, cell: dict) -> None:
    """A replay that is as planned says nothing new where a live run was: that one stays."""
    with kept_results() as kept:
        cells = kept["cells"].setdefault(release, {})
        before = cells.get(scenario)
        confirmed = before and before["how"] == "live" and not before["wrong"]
        if cell["how"] == "live" or cell["wrong"] or not confirmed:
            cells[scenario] = {**cell, "at": datetime.now(timezone.utc).isoformat(timespec="seconds")}


def document(kept: dict) -> str:
    full = [release for release in RELEASES if not RELEASES[release].get("scenarios")]
    return "\n".join([
        "# Results of the runs against real releases",
        "",
        "Written by `suite.py` and `soak.py`; not by hand. Each cell is one scenario of [README.md](README.md) played by that release of",
        "Airflow, with PostgreSQL, Redis, Celery workers and an S3 server, and then looked at by the exporter itself (`check --json`,",
        "compiled, with nothing but a worker's environment). A cell names the problems that had to be said. It is right when exactly",
        "these were said, about exactly the dags, tasks, queues and hosts concerned, and when rows, references and broken references",
        "were counted as planned. While a live scenario ran, the daemon sampled every 2 seconds as well, and said nothing else; not where",
        "Airflow's settings change on the way: there `check` alone looked. *At once*: the first look that began after the last deed said all",
        "of it, and so did every later one. `replayed`: not played anew; the recording of an earlier run was loaded into the servers and",
        "looked at.",
        "",
        "## Releases",
        "",
        *releases(kept),
        "",
        "## Scenarios",
        "",
        *scenarios(kept, full),
        "",
        "## Long healthy runs",
        "",
        *soaks(kept, full),
        "",
    ])  # fmt: skip


def versions(release: str) -> dict | None:
    for recording in sorted((FIXTURES / release).glob("*/scenario.json"), reverse=True):
        return json.loads(recording.read_text())
    return None


def releases(kept: dict) -> list[str]:
    lines = ["| Airflow | common-io | amazon | universal-pathlib | s3fs | Python | PostgreSQL |", "|---|---|---|---|---|---|---|"]
    for release in RELEASES:
        if found := versions(release):
            packages, providers = found["packages"], found["providers"]
            lines.append(
                f"| {release} | {providers['common-io']} | {providers['amazon']} | {packages.get('universal-pathlib', '')} | "
                f"{packages.get('s3fs', '')} | {found['python']} | {found['server_version'].split()[0]} |"
            )
    for release, refusal in sorted(kept.get("refused", {}).items()):
        lines += ["", f"**{release} could not be installed** ({refusal['at'][:10]}): {refusal['reason']}"]
    return lines


def scenarios(kept: dict, full: list[str]) -> list[str]:
    notes: list[str] = []
    lines = [f"| scenario | {' | '.join(full)} |", "|---|" + "---|" * len(full)]
    for name, scenario in SCENARIOS.items():
        cells = []
        for release in full:
            if not scenario.possible_on(release):
                if scenario.why not in notes:
                    notes.append(scenario.why)
                cells.append(f"— ({notes.index(scenario.why) + 1})")
            else:
                cells.append(words(kept["cells"].get(release, {}).get(name)))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", *(f"({number}) {note}" + "  " for number, note in enumerate(notes, 1))]
    for release in RELEASES:
        if release not in full:
            for name in RELEASES[release]["scenarios"]:
                lines += ["", f"{release}, {name} alone: {words(kept['cells'].get(release, {}).get(name))}"]
    faults = [
        f"- **{release} {name}** ({cell['how']}, {cell['at']}): {'; '.join(cell['wrong'])}"
        for release, cells in kept["cells"].items()
        for name, cell in cells.items()
        if cell["wrong"] and name in SCENARIOS and release in RELEASES
    ]
    if faults:
        lines += ["", "Not as planned:", "", *faults]
    return lines


def words(cell: dict | None) -> str:
    if cell is None:
        return "**not run**"
    expected = ", ".join(f"`{code}`" for code in cell["expected"]) or ("unknown" if cell.get("undecided") else "healthy")
    how = f"{'replayed' if cell['how'] == 'replayed' else 'live'} {cell['at'][:10]}"
    if not cell["wrong"]:
        return f"{expected}<br>✓ {how}{', at once' if cell.get('at_once') else ''}"
    seen = "nothing" if cell["seen"] is None else ", ".join(f"`{code}`" for code in cell["seen"]) or "no problem"
    return f"expected {expected}, seen {seen}<br>**✗** {how}"


def soaks(kept: dict, full: list[str]) -> list[str]:
    lines = [
        "Mixed dags while the daemon samples every 5 seconds; `/metrics` is read every second, and every problem that is 1 is false.",
        "*Row versions* is what a trigger in the database has written down: every XCom inserted or changed. *Counted* is the sum of",
        "`airflow_xcom_rows_total`, held against it for each dag and storage: all that lived longer than two looks, and none twice. At the",
        "end the gauges of the window equal what SQL and a listing of the bucket find.",
        "",
        "| Airflow | task instances | minutes | cycles | scrapes | false problems | XCom rows at the end | in S3 | row versions | counted | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for release in full:
        one = kept["soaks"].get(release)
        if one is None:
            lines.append(f"| {release} | **not run** |" + " |" * 9)
            continue
        verdict = "✓" if not one["wrong"] else "**✗** " + "; ".join(one["wrong"])[:500]
        lines.append(
            f"| {release} | {one['task_instances']} | {one['seconds'] / 60:.0f} | {one['cycles']} | {one['scrapes']} | "
            f"{one['false_problems']} | {one['rows']} | {one['rows_s3']} | {one['versions']} | {one['counted']} | "
            f"{verdict} {one['at'][:10]} |"
        )
    return lines
