"""Airflow releases: what is installed for each, and their empty databases."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from services import CACHE, Postgres, clean_environment

RELEASES = json.loads((Path(__file__).resolve().parent / "releases.json").read_text())
PROVIDERS = ["common-io", "amazon[s3fs]", "celery", "postgres"]


def install(release: str) -> Path:
    """The bin folder of a virtual environment with this release and the providers of its time."""
    home = CACHE / "airflow" / release
    pins = {key: value for key, value in RELEASES[release].items() if key != "scenarios"}
    done = home / "installed.json"
    if not done.exists() or json.loads(done.read_text()) != pins:
        print(f"{release}: installing", flush=True)
        _run(release, uv(), "venv", "-q", "--clear", "--python", python(pins["python"]), home)
        _run(
            release, uv(), "pip", "install", "-q", "--compile-bytecode", "--python", home / "bin" / "python",
            "--exclude-newer", pins["exclude_newer"], f"apache-airflow=={release}",
            *(f"apache-airflow-providers-{name}" for name in PROVIDERS), "redis", *pins.get("requirements", []),
        )  # fmt: skip
        done.write_text(json.dumps(pins))
    return home / "bin"


def _run(release: str, *command: str | Path) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{release} cannot be installed: {done.stdout[-3000:].strip()}")


def uv() -> str:
    if found := shutil.which("uv"):
        return found
    target = CACHE / "uv"
    if not (target / "bin" / "uv").exists():
        subprocess.run([sys.executable, "-m", "venv", target], check=True)
        subprocess.run([target / "bin" / "pip", "install", "-q", "uv"], check=True)
    return str(target / "bin" / "uv")


def python(version: str) -> str:
    """pyenv's interpreter of this version, else the version: uv finds or fetches one."""
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    return str(pyenv[-1]) if pyenv else version


def migrate(release: str, postgres: Postgres, folder: Path) -> str:
    """The name of a database migrated from nothing by this release: the template of every scenario's own."""
    template = f"airflow-{release}"
    if postgres.query(f"SELECT 1 FROM pg_database WHERE datname = '{template}'", "postgres"):
        return template
    postgres.recreate(template)
    bring_up(release, template, postgres, folder / release / "migrate")
    return template


def bring_up(release: str, database: str, postgres: Postgres, home: Path) -> None:
    """`airflow db migrate` of this release, from nothing or from what an earlier one has left."""
    home.mkdir(parents=True)
    airflow = install(release)
    done = subprocess.run(
        [airflow / "airflow", "db", "migrate"],
        env={
            **clean_environment(airflow),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow:airflow@127.0.0.1:{postgres.port}/{database}",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"airflow db migrate: {done.stdout[-2000:]}{done.stderr[-3000:]}")
