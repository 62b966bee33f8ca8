"""What runs of the canary have shown: kept in canary.json, and written for people into CANARY.md."""

import json
from datetime import datetime, timezone
from pathlib import Path

from canary_pools import POOLS, SCENARIOS
from releases import RELEASES

HERE = Path(__file__).resolve().parent
STORE, TABLE = HERE / "canary.json", HERE / "CANARY.md"


def note(release: str, scenario: str, threshold: int, cell: dict) -> None:
    kept = json.loads(STORE.read_text()) if STORE.exists() else {}
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    kept.setdefault(release, {})[f"{scenario} {threshold}"] = {**cell, "at": at}
    STORE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    TABLE.write_text(document(kept))


def document(kept: dict) -> str:
    lines = [
        "# The canary on real releases",
        "",
        "Written by `canary.py`; not by hand. The DAG that `airflow-xcom-exporter canary` prints, run by Celery workers of that release",
        "with PostgreSQL, Redis and an S3 server; each pool of workers has an environment of its own. What each said of itself is held",
        "against `canary_pools.py`, and so is what `check` said of it, which has nothing but a worker's environment.",
        "",
        "| pool | how its workers are set up |",
        "|---|---|",
        *(f"| `{name}` | {pool.what} |" for name, pool in POOLS.items()),
    ]
    for scenario, queues in SCENARIOS.items():
        cells = [
            (release, name.split()[1], cell)
            for release in RELEASES
            for name, cell in sorted(kept.get(release, {}).items())
            if name.split()[0] == scenario
        ]
        if scenario == "detect":
            lines += ["", "## Time to detect", "", *detected(cells)]
        else:
            lines += ["", f"## {', '.join(queues)}", "", *said(cells, queues)]
    lines += ["", "## What a run leaves", "", *left(kept), ""]
    return "\n".join(lines)


def said(cells, queues) -> list[str]:
    lines = [
        f"| Airflow | threshold | {' | '.join(f'`{queue}`' for queue in queues)} | `check` says | |",
        "|---|---|" + "---|" * (len(queues) + 2),
    ]
    for release, threshold, cell in cells:
        pools = [words(cell["pools"].get(queue, {})) for queue in queues]
        raised = ", ".join(f"`{code}`" for code in sorted(cell["problems"])) or "nothing"
        verdict = "✓" if not cell["wrong"] else "**✗** " + "; ".join(cell["wrong"])[:400]
        lines.append(f"| {release} | {threshold} | {' | '.join(pools)} | {raised} | {verdict} {cell['at'][:10]} |")
    return lines


def words(pool: dict) -> str:
    told = pool.get("said")
    if told is None:
        return "silent"
    parts = [f"push {'works' if told['push'] else 'fails'}"]
    if told["form"]:
        parts[0] += f", {'in S3' if told['form'] == 'reference' else 'in the row'}"
    if "pull" in told:
        parts.append(f"pull {'works' if told['pull'] else 'fails'}")
    reads = told.get("read", {})
    good = [other for other, ok in reads.items() if ok]
    bad = [other for other, ok in reads.items() if not ok]
    if good:
        parts.append(f"reads {', '.join(sorted(good))}")
    if bad:
        parts.append(f"cannot read {', '.join(sorted(bad))}")
    if pool.get("error"):
        error = pool["error"]
        parts.append(f"`{error['class']}`" + (f", {error['code']} to {error['request']}" if "code" in error else ""))
    return "<br>".join(parts)


def detected(cells) -> list[str]:
    lines = [
        "No other task runs; a run a minute; the daemon looks every 5 seconds. The worker of one of two healthy pools is replaced by one",
        "without the three settings, then by a healthy one. Counted from the start of the new worker to the scrape that says so.",
        "",
        "| Airflow | said after | cleared after |",
        "|---|---|---|",
    ]
    return lines + [f"| {release} | {c['seconds']['raised']} s | {c['seconds']['cleared']} s |" for release, _, c in cells]


def left(kept: dict) -> list[str]:
    lines = [
        "Rows in a run, and their bytes in the tables without indexes; `xcom` is all that is there at the end, whatever the number of runs.",
        "Requests to S3 in a run are those that the S3 server has logged, `check` once among them.",
        "",
        "| Airflow | pools | runs | dag_run | task_instance | rendered fields | log | job | xcom in all | bytes a run | requests a run |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for release in RELEASES:
        for name, cell in sorted(kept.get(release, {}).items()):
            scenario = name.split()[0]
            if scenario not in ("one", "three"):
                continue
            runs, tables = cell["cost"]["runs"], cell["cost"]["tables"]
            each = [
                f"{tables[table]['rows'] / runs:.1f}" if table in tables else "–"
                for table in ("dag_run", "task_instance", "rendered_task_instance_fields", "log", "job")
            ]
            size = sum(one["bytes"] for table, one in tables.items() if table != "xcom") / runs
            asked = sum(cell["requests"].values()) / runs
            pools = len(SCENARIOS[scenario])
            lines.append(
                f"| {release}, {name.split()[1]} | {pools} | {runs} | {' | '.join(each)} | {tables['xcom']['rows']} | {size:.0f} | {asked:.0f} |"
            )
    return lines
