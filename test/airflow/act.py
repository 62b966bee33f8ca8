"""Run in the release's Python: what an operator does in the web interface of Airflow 2, by the same calls.

act.py trigger DAG RUN... | clear DAG RUN TASK... | delete DAG RUN | forget DAG RUN TASK KEY
"""

import sys

from airflow.models import DagRun, TaskInstance
from airflow.models.xcom import XCom
from airflow.utils.session import create_session

action, dag_id, *rest = sys.argv[1:]


def a_dag():
    from airflow.models import DagBag

    return DagBag(read_dags_from_db=True).get_dag(dag_id)


with create_session() as session:
    if action == "trigger":
        from airflow.api.common.trigger_dag import trigger_dag

        for run_id in rest:
            trigger_dag(dag_id, run_id=run_id, replace_microseconds=False)
    elif action == "clear":
        from airflow.models.taskinstance import clear_task_instances

        run_id, *task_ids = rest
        cleared = session.query(TaskInstance).filter(
            TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id.in_(task_ids)
        )
        clear_task_instances(cleared.all(), session, dag=a_dag())
    elif action == "delete":
        session.query(DagRun).filter(DagRun.dag_id == dag_id, DagRun.run_id == rest[0]).delete()
    elif action == "forget":
        run_id, task_id, key = rest
        session.query(XCom).filter(
            XCom.dag_id == dag_id, XCom.run_id == run_id, XCom.task_id == task_id, XCom.key == key
        ).delete()
    else:
        sys.exit(f"unknown action {action}")
