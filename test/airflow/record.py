#!/usr/bin/env python3
"""Runs a released Airflow and records what it leaves in its database and its bucket as test fixtures."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from releases import RELEASES, install, migrate
from scenarios import SCENARIOS, record
from services import S3, Postgres, Processes, Redis, portable

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "airflow"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=[*RELEASES, "all"], required=True)
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        choices=[*SCENARIOS, "all"],
        help="several allowed; 'all' for every one; none: schema only",
    )
    parser.add_argument("--out", type=Path, default=FIXTURES, help="where fixtures go (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with every log")
    options = parser.parse_args()
    releases = list(RELEASES) if "all" in options.release else options.release
    chosen = list(SCENARIOS) if "all" in options.scenario else options.scenario

    folder = Path(tempfile.mkdtemp(prefix="airflow-recording-"))
    folder.chmod(0o755)
    servers = Processes(folder / "logs")
    failed = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        postgres, redis, s3 = Postgres(servers, folder), Redis(servers), S3(servers, folder)
        for release in releases:
            airflow = install(release)
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
                    record(name, release, airflow, postgres, redis, s3, folder / release / name, options.out)
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
