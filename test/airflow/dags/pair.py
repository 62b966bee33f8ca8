from compat import ONCE, dag, task
from leaves import LEAVES, leave


@task
def produce(ti=None):
    return leave(ti, LEAVES["pair"]["produce"])


@task
def small():
    return "ok"


@task
def consume(value):
    """Hands on what it was handed: a value, or, when Airflow could not read the object, the object's path."""
    return value


@dag(dag_id="pair", **ONCE)
def pair():
    """The least that shows where values go: one writes, one hands it on."""
    small()
    consume(produce())


pair()
