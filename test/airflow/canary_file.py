#!/usr/bin/env python3
"""Holds the DAG file of the canary against every Python that Airflow 2.9 to 3.4 runs on, and against ruff.

    python3 test/airflow/canary_file.py                      # compiles the exporter first
    python3 test/airflow/canary_file.py --exporter dist/main.js

The interpreters are pyenv's, else those that uv finds or fetches; ruff comes from PyPI by uv.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import exporter
from releases import python, uv

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
RUFF = "ruff==0.14.6"
FILES = {
    "one": (),
    "many": ("--queue", "default", "--queue", 'a "quoted" \\ queue', "--executor", "KubernetesExecutor", "--pool", "canaries", "--every", "1h"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exporter", help="a compiled main.js, unless it is to be compiled now")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        main_js = exporter.built(options.exporter, folder)
        for name, flags in FILES.items():
            file = folder / f"{name}.py"
            printed = subprocess.run(["node", str(main_js), "canary", *flags], check=True, capture_output=True, text=True)
            file.write_text(printed.stdout)
            commands = {
                f"ruff, {RUFF}": [uv(), "tool", "run", RUFF, "check", "--isolated", "--select", "E4,E7,E9,F,W,I,B,UP", "--target-version", "py39", str(file)],
                **{
                    f"py_compile, Python {version}": [uv(), "run", "--no-project", "--python", python(version), "python", "-W", "error", "-m", "py_compile", str(file)]
                    for version in PYTHONS
                },
            }  # fmt: skip
            for what, command in commands.items():
                done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
                print(f"{name}: {what}: {'clean' if done.returncode == 0 else done.stdout + done.stderr}", flush=True)
                failed += done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
