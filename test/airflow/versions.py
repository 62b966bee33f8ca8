"""Run in the release's Python: what is installed."""

import importlib.metadata
import json
import platform
import re

installed = {re.sub(r"[-_.]+", "-", d.name.lower()): d.version for d in importlib.metadata.distributions()}
others = ("s3fs", "fsspec", "universal-pathlib", "aiobotocore", "sqlalchemy", "celery", "psycopg2-binary")
prefix = "apache-airflow-providers-"
print(json.dumps({
    "providers": {k.removeprefix(prefix): v for k, v in sorted(installed.items()) if k.startswith(prefix)},
    "packages": {name: installed[name] for name in others if name in installed},
    "python": platform.python_version(),
}))  # fmt: skip
