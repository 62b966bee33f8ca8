"""Run in the release's Python: past_depends.py DAG TASK. Notes that a task's past runs allow it to be skipped, as Airflow does itself."""

import sys

from airflow.models import TaskInstance
from airflow.models.serialized_dag import SerializedDagModel
from airflow.ti_deps.dep_context import DepContext
from airflow.ti_deps.deps.prev_dagrun_dep import PrevDagrunDep
from airflow.utils.session import create_session

dag_id, task_id = sys.argv[1:]
with create_session() as session:
    ti = session.query(TaskInstance).filter(TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id).one()
    ti.task = SerializedDagModel.get_dag(dag_id, session=session).get_task(task_id)
    waiting = DepContext(wait_for_past_depends_before_skipping=True)
    print([status.passed for status in PrevDagrunDep().get_dep_statuses(ti=ti, session=session, dep_context=waiting)])
