from compat import ONCE, dag, task


@task
def report():
    return "ok"


@dag(dag_id="refused", **ONCE)
def refused():
    """A task that cannot leave anything."""
    report()


refused()
