from datetime import timedelta

from compat import ONCE, dag, task


@task
def produce():
    return "x" * 1_500


@task(retries=1, retry_delay=timedelta(seconds=1))
def flaky(ti=None):
    """Writes, fails, and writes again."""
    ti.xcom_push("before", "y" * 1_600)
    if ti.try_number == 1:
        raise RuntimeError("the first try fails")
    return "z" * 1_700


@task
def consume(value):
    return f"{value}!"


@dag(dag_id="audited", **ONCE)
def audited():
    """What an audit is to find: objects of runs that stay, are cleared, move and are cleaned."""
    flaky()
    consume(produce())


audited()
