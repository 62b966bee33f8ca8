from compat import ONCE, dag, task
from leaves import LEAVES, leave


@task
def push(task_id, ti=None):
    return leave(ti, LEAVES["sizes"][task_id])


@dag(dag_id="sizes", **ONCE)
def sizes():
    """Values of every kind, small, large and just around the threshold."""
    for task_id in LEAVES["sizes"]:
        push.override(task_id=task_id)(task_id)


sizes()
