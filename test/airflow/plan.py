"""Run in the release's Python, for its encoder: what must exist after these runs, told by what the DAGs push.

Standard input: {"runs": [[dag_id, run_id]...], "threshold": int, "bypass": [queue...], "airflow": [major, minor]}
"""

import json
import sys

from compat import measured_bytes
from leaves import AIRFLOW_2_ONLY, FIRST_TRY, LEAVES, QUEUES

asked = json.load(sys.stdin)
CHILD_LINK = {  # what TriggerDagRunOperator leaves beside the child's run id; Airflow 3 stores an operator's links as XComs
    2: {"key": "trigger_logical_date_iso", "storage": "s3" if 0 <= asked["threshold"] < 34 else "db"},
    3: {"key": "_link_TriggerDagRunLink", "storage": "db", "by_design": "operator_link"},
}


def xcoms():
    for dag_id, run_id in asked["runs"]:
        for task_id, leaves in LEAVES[dag_id].items():
            row = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
            queue = QUEUES.get((dag_id, task_id), "default")
            backend = queue not in asked["bypass"] and asked["threshold"] >= 0
            instances = enumerate(leaves) if isinstance(leaves, list) else [(-1, leaves)]
            for map_index, pushed in instances:
                for key, value in pushed.items():
                    if asked["airflow"] >= [3, 0] and (dag_id, task_id, key) in AIRFLOW_2_ONLY:
                        continue
                    size = measured_bytes(value)
                    storage = "s3" if backend and size >= asked["threshold"] else "db"
                    planned = {**row, "map_index": map_index, "key": key, "storage": storage, "measured_bytes": size}
                    yield planned
                    if asked["airflow"] >= [3, 4] and key in FIRST_TRY.get((dag_id, task_id), []):
                        yield {**planned, "archived_try": True}
            if task_id == "starts_child":
                yield {**row, "map_index": -1, **CHILD_LINK[asked["airflow"][0]]}


print(json.dumps(list(xcoms())))
