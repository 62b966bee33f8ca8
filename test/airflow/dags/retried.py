from datetime import timedelta

from compat import ONCE, dag, task
from leaves import LEAVES, leave


@task(retries=1, retry_delay=timedelta(seconds=1))
def flaky(ti=None):
    value = leave(ti, LEAVES["retried"]["flaky"])
    if ti.try_number == 1:
        raise RuntimeError("the first try fails")
    return value


@dag(dag_id="retried", **ONCE)
def retried():
    flaky()


retried()
