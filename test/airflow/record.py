#!/usr/bin/env python3
"""Runs a released Airflow and records what it leaves in its database and its bucket as test fixtures."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import preflight
from releases import RELEASES, bring_up, migrate
from scenarios import SCENARIOS, record
from services import S3, Postgres, Processes, Redis, portable

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "airflow"


def upgrades(folder: Path, servers: Processes, out: Path) -> None:
    """One database, made by the oldest release and migrated by each of the others in turn: their schemas on the way."""
    (folder / "upgrades").mkdir()
    postgres = Postgres(servers, folder / "upgrades")
    postgres.recreate("airflow")
    for release in RELEASES:
        if RELEASES[release].get("scenarios"):
            continue
        bring_up(release, "airflow", postgres, folder / "upgrades" / release)
        (out / release).mkdir(parents=True, exist_ok=True)
        schema = portable(postgres.dump("--schema-only"))
        (out / release / "migrated.sql").write_text(schema)
        print(f"{release}: schema of a migrated database recorded", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=[*RELEASES, "all"], default=[])
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        choices=[*SCENARIOS, "all"],
        help="several allowed; 'all' for every one; none: schema only",
    )
    parser.add_argument("--upgrades", action="store_true", help="migrated.sql of every release: one database through all of them")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="where fixtures go (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with every log")
    options = parser.parse_args()
    preflight.require(builds_exporter=False)
    releases = list(RELEASES) if "all" in options.release else options.release
    chosen = list(SCENARIOS) if "all" in options.scenario else options.scenario

    folder = Path(tempfile.mkdtemp(prefix="airflow-recording-"))
    folder.chmod(0o755)
    servers = Processes(folder / "logs")
    failed = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.upgrades:
            upgrades(folder, servers, options.out)
        running = postgres, _, _ = Postgres(servers, folder), Redis(servers), S3(servers, folder)
        for release in releases:
            template = migrate(release, postgres, folder)
            (options.out / release).mkdir(parents=True, exist_ok=True)
            (options.out / release / "schema.sql").write_text(
                portable(postgres.dump("--schema-only", database=template))
            )
            print(f"{release}: schema recorded", flush=True)
            for name in chosen:
                if not SCENARIOS[name].possible_on(release):
                    continue
                print(f"{release} {name}: running", flush=True)
                try:
                    deployment, _ = record(name, release, running, folder / release / name, options.out)
                    deployment.bucket("remove")
                    print(f"{release} {name}: recorded", flush=True)
                except Exception as error:  # the next scenario may still be recorded
                    failed.append(f"{release} {name}")
                    print(f"{release} {name}: FAILED: {error}", file=sys.stderr, flush=True)
    finally:
        servers.stop()
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for name in failed:
        print(f"not recorded: {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
