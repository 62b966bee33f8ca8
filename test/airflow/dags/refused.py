from compat import ONCE, dag, task
from leaves import text


@task
def report():
    return text(1500)


@dag(dag_id="refused", **ONCE)
def refused():
    """A task that cannot leave anything."""
    report()


refused()
