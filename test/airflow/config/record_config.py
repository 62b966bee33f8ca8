"""Asks the configuration parser of an installed Airflow every case, and writes its answers.

    python test/airflow/config/record_config.py test/fixtures/airflow-config

Run it with the interpreter of an environment in which the release is installed, once for each release. The defaults of
Airflow are withheld, so that an option that nothing sets is told from one that is set to its default.
"""

import json
import os
import platform
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

os.environ.clear()
scratch = tempfile.mkdtemp()
os.environ.update(AIRFLOW_HOME=scratch, HOME="/home/airflow", PATH="/usr/bin:/bin", LC_ALL="C.UTF-8")
warnings.simplefilter("ignore")
sys.stderr = open(os.devnull, "w")

from airflow import configuration  # noqa: E402
from airflow.configuration import AirflowConfigParser  # noqa: E402
from config_cases import CASES  # noqa: E402

ASKED = {(one["section"], one["key"]) for one in CASES}


def withhold(name: str, nothing: object, *, positional: bool) -> None:
    """Lets a method of the parser find no default for the options that the cases ask for."""
    real = getattr(AirflowConfigParser, name)

    def method(self, *args, **kwargs):
        option = args[:2] if positional else (kwargs["section"], kwargs["key"])
        return nothing if option in ASKED else real(self, *args, **kwargs)

    setattr(AirflowConfigParser, name, method)


for name in dir(AirflowConfigParser):
    if name in ("get_default_value", "get_provider_config_fallback_defaults"):
        withhold(name, None, positional=True)
    elif name == "_get_option_from_defaults" or name.startswith("_get_option_from_provider"):
        from airflow._shared.configuration.parser import VALUE_NOT_FOUND_SENTINEL

        withhold(name, VALUE_NOT_FOUND_SENTINEL, positional=False)


def answer(one: dict) -> dict:
    os.environ.clear()
    os.environ.update({"HOME": "/home/airflow", "PATH": "/usr/bin:/bin", **one["env"]})
    parser.clear()
    parser._defaults.clear()
    try:
        if one["file"] is not None:
            file = Path(scratch) / "airflow.cfg"
            file.write_bytes(one["file"].encode())
            parser.read(str(file))
    except Exception as error:
        return {"unreadable": type(error).__name__}
    try:
        if one["number"]:
            # As text: a number of JSON has not room for every whole number of Python.
            return {"value": str(parser.getint(one["section"], one["key"]))}
        return {"value": parser.get(one["section"], one["key"], suppress_warnings=True)}
    except Exception as error:
        if "not found in config" in str(error):
            return {"absent": True}
        return {"error": type(error).__name__}


parser = AirflowConfigParser()
# The secrets backend is looked up in the configuration that the process has.
configuration.conf = parser
answers = [answer(one) for one in CASES]
folder = Path(sys.argv[1])
release = version("apache-airflow")


def lines(rows: list[dict]) -> str:
    """A list of JSON, one row a line, so that a change shows as what it is."""
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"


head = json.dumps({"release": release, "python": platform.python_version()})
(folder / "cases.json").write_text(lines(CASES) + "\n")
(folder / f"{release}.json").write_text(f'{head[:-1]}, "answers": {lines(answers)}}}\n')
print(release, len(answers), file=sys.stdout)
