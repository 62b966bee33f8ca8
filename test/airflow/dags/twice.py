from compat import ONCE, dag, task
from leaves import LEAVES, text


@task
def report(ti=None):
    ti.xcom_push(key="report", value=text(1500))
    ti.xcom_push(key="report", value=LEAVES["twice"]["report"]["report"])


@dag(dag_id="twice", **ONCE)
def twice():
    """A task that pushes one key twice."""
    report()


twice()
