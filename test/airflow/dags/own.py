from compat import AIRFLOW, ONCE, TriggerDagRunOperator, dag, task, task_group
from leaves import LEAVES, leave

HERE = LEAVES["own"]


@task
def push(task_id, ti=None):
    return leave(ti, HERE[task_id])


def enough(*, loop):
    """Airflow 3.4 keeps the reason as an XCom of its own."""
    from airflow.sdk import LoopDecision

    index = loop.index
    return LoopDecision(stop=index == 2, reason=HERE["refine.enough"][index]["_airflow_loop_decision_reason"])


@dag(dag_id="own", **ONCE)
def own():
    """Small values, and what Airflow writes beside them for its own use."""
    push.override(task_id="report")("report")
    TriggerDagRunOperator(
        task_id="starts_child", trigger_dag_id="own_child", trigger_run_id=HERE["starts_child"]["trigger_run_id"]
    )
    if AIRFLOW[:2] >= ("3", "4"):

        @task
        def guess(*, loop=None, ti=None):
            return leave(ti, HERE["refine.guess"][loop.index])

        @task_group
        def refine():
            guess()

        refine.loop(max_iterations=3, until=enough)


own()


@dag(dag_id="own_child", **{**ONCE, "schedule": None})
def own_child():
    @task
    def report():
        return 1

    report()


own_child()
