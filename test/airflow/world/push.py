"""Run in a release's Python: for each environment on standard input, one JSON text a line, pushes a value through the object
storage backend and pulls it again, as tasks with this environment do, and prints what came of it."""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
import s3fs  # noqa: E402, F401
from airflow.providers.amazon.aws.fs import s3  # noqa: E402, F401
from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend  # noqa: E402

SECONDS = 60


def outcome():
    value = "x" * 2_000
    try:
        stored = XComObjectStorageBackend.serialize_value(
            value, key="return_value", dag_id="dag", run_id="run", task_id="task", map_index=-1
        )
        stored = stored if isinstance(stored, str) else stored.decode()
        pulled = XComObjectStorageBackend.deserialize_value(type("Row", (), {"value": stored}))
        return {"pushed": stored} if pulled == value else {"failed": "Pulled", "message": "another value"}
    except BaseException as error:  # noqa: BLE001
        return {"failed": type(error).__name__, "message": str(error)[:300]}


for line in sys.stdin:
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.environ.clear()
        os.environ.update(json.loads(line))
        import signal

        signal.alarm(SECONDS)
        os.write(writer, json.dumps(outcome()).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    said = os.read(reader, 65536).decode() or json.dumps({"failed": "Timeout", "message": f"{SECONDS} s"})
    os.close(reader)
    print("PUSH " + said, flush=True)
