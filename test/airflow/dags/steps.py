from compat import ONCE, dag, task
from leaves import LEAVES, leave


@task
def report(ti=None):
    return leave(ti, LEAVES["steps"]["report"])


@dag(dag_id="steps", **ONCE)
def steps():
    """Values of several sizes, so that a threshold shows in where they are."""
    report()


steps()
