from datetime import timedelta

from compat import ONCE, BaseOperator, TimeDeltaTrigger, TriggerDagRunOperator, dag, task, task_group
from leaves import LEAVES, leave

HERE = LEAVES["flow"]


@task.branch
def choose():
    return "left"


@task
def push(task_id, ti=None):
    return leave(ti, HERE[task_id])


@task(retries=1, retry_delay=timedelta(seconds=1))
def flaky(ti=None):
    """Writes, fails, and writes again: Airflow has to remove the first object itself."""
    value = leave(ti, HERE["flaky"])
    if ti.try_number == 1:
        raise RuntimeError("the first try fails")
    return value


class Waits(BaseOperator):
    """Pushes, defers, and returns something when it wakes up."""

    def execute(self, context):
        leave(context["ti"], HERE["waits"])
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")

    def resume(self, context, event=None):
        return HERE["waits"]["return_value"]


@task
def takes(report, ti=None):
    return {"flaky": len(report), "waits": len(ti.xcom_pull(task_ids="waits", key="before"))}


@dag(dag_id="flow", **ONCE)
def flow():
    """What tasks leave beside plain values: branches, retries, groups, deferral, an operator link."""
    choose() >> [push.override(task_id="left")("left"), push.override(task_id="right")("right")]

    @task_group
    def group():
        push.override(task_id="inner")("group.inner") >> push.override(task_id="outer")("group.outer")

    group()
    Waits(task_id="waits") >> takes(flaky())
    TriggerDagRunOperator(
        task_id="starts_child", trigger_dag_id="child", trigger_run_id=HERE["starts_child"]["trigger_run_id"]
    )


flow()


@dag(dag_id="child", **{**ONCE, "schedule": None})
def child():
    """Started by flow: its run id is one of those a person gives."""

    @task
    def report(ti=None):
        return leave(ti, LEAVES["child"]["report"])

    report()


child()
