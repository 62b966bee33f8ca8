"""Mixed work, much of it at once, none of it wrong: what a healthy deployment looks like to an observer."""

from datetime import timedelta
from uuid import uuid4

from compat import ONCE, BaseOperator, TimeDeltaTrigger, TriggerDagRunOperator, dag, task, task_group
from leaves import BUCKET, WHEN, text

RETRY = timedelta(seconds=15)  # longer than two looks of the exporter, so that it sees what the first try left
SIZES = (10, 300, 999, 1000, 1001, 3000, 20, 1500, 40, 7000, 12, 998, 2000, 64, 1200, 5)


@task.branch
def choose():
    return "left"


@task
def left():
    return "went left"


@task
def right():
    return text(4000)


@task
def part(index, ti=None):
    ti.xcom_push(key="index", value=index)
    return text(SIZES[index])


@task
def doubled(value):
    return value * 2


@task
def total(values):
    return sum(len(value) for value in values)


@task
def inner():
    return text(1800)


@task
def outer(value):
    return len(value)


@task
def uris(ti=None):
    """S3 URIs as tasks return them."""
    ti.xcom_push(key="landing", value=f"s3://{BUCKET}/landing/2026/11/{uuid4()}")
    ti.xcom_push(key="neighbour", value=f"s3://{BUCKET}/xcom-exports/orders/2026/{uuid4()}")
    ti.xcom_push(key="table", value=f"s3://warehouse/{ti.dag_id}/{ti.run_id}/{ti.task_id}/{uuid4()}.parquet")
    ti.xcom_push(key="folder", value=f"s3://aws_xcom@{BUCKET}/xcom/{ti.dag_id}/{ti.run_id}/")
    ti.xcom_push(key="many", value=[f"s3://warehouse/orders/part-{i}.parquet" for i in range(60)])
    return "s3://warehouse/exports/2026/11/orders.parquet"


@task
def lookalikes(ti=None):
    """What looks like a reference and is none."""
    place = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{uuid4()}"
    ti.xcom_push(key="page", value=f"https://reports.example.com/{place}")
    ti.xcom_push(key="in_a_sentence", value=f"see s3://{BUCKET}/xcom/{place} for more")
    ti.xcom_push(key="in_a_list", value=[f"s3://{BUCKET}/xcom/{place}"])
    ti.xcom_push(key="file", value=f"exports/orders/2026/{uuid4()}")
    ti.xcom_push(key="json", value=f'{{"path": "s3://{BUCKET}/xcom/{place}"}}')
    return str(uuid4())


@task
def typed(ti=None):
    ti.xcom_push(key="when", value=WHEN)
    ti.xcom_push(key="rows", value=[(i, f"ж{i}", 0.1) for i in range(30)])
    ti.xcom_push(key="often", value=[WHEN] * 20)
    ti.xcom_push(key="floats", value=[0.1, 1e-7, -0.0, 3.25])
    return {"zebra": [None, True], "alpha": {"when": WHEN, "emoji": "🚀" * 30}}


@task
def nothing():
    return None


@task
def flaky(ti=None):
    ti.xcom_push(key="report", value=text(4000))
    ti.xcom_push(key="note", value="short")
    if ti.try_number == 1:
        raise RuntimeError("the first try fails")
    return text(2000)


class Waits(BaseOperator):
    def execute(self, context):
        context["ti"].xcom_push(key="before", value=text(1700))
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=2)), method_name="resume")

    def resume(self, context, event=None):
        return "after"


@task
def takes(report, ti=None):
    return [len(report), len(ti.xcom_pull(task_ids="waits", key="before"))]


@task(queue="legacy")
def elsewhere(index):
    return text(1000 + index)


PATIENT = {"retries": 3, "retry_delay": RETRY}  # on a machine that has much to do a task may fail to start


@dag(dag_id="soak", max_active_runs=4, default_args=PATIENT, **{**ONCE, "schedule": None})
def soak():
    choose() >> [left(), right()]
    total(doubled.expand(value=part.expand(index=list(range(len(SIZES))))))

    @task_group
    def group():
        outer(inner())

    group()
    uris(), lookalikes(), typed(), nothing()
    Waits(task_id="waits") >> takes(flaky())
    elsewhere.expand(index=[0, 1, 2, 3])
    TriggerDagRunOperator(task_id="starts_child", trigger_dag_id="soak_child")


soak()


@dag(dag_id="soak_child", default_args=PATIENT, **{**ONCE, "schedule": None})
def soak_child():
    @task
    def report():
        return text(1300)

    @task
    def short():
        return {"rows": 3}

    report(), short()


soak_child()
