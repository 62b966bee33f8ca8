"""Run in a release's Python: pushes values through the object storage backend, as a task does, and prints what came of each."""

import json
import sys
import warnings

warnings.simplefilter("ignore")
from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend  # noqa: E402

for attempt in range(int(sys.argv[1])):
    try:
        stored = XComObjectStorageBackend.serialize_value(
            "x" * 2_000, key="return_value", dag_id="dag", run_id="run", task_id=f"task{attempt}", map_index=-1
        )
        outcome = {"pushed": stored if isinstance(stored, str) else stored.decode()}
    except BaseException as error:  # noqa: BLE001
        outcome = {"failed": type(error).__name__, "message": str(error)[:300]}
    print("PUSH " + json.dumps(outcome), flush=True)
