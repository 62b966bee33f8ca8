from compat import ONCE, dag, task
from leaves import LEAVES, QUEUES, leave


@task
def push(dag_id, task_id, ti=None):
    return leave(ti, LEAVES[dag_id][task_id])


@dag(dag_id="kinds", **ONCE)
def kinds():
    """Values of every kind on both sides of the threshold."""
    for task_id in LEAVES["kinds"]:
        push.override(task_id=task_id)("kinds", task_id)


@dag(dag_id="kinds_bypassing", **ONCE)
def kinds_bypassing():
    """The same, on the other queue."""
    for task_id in LEAVES["kinds_bypassing"]:
        queue = QUEUES["kinds_bypassing", task_id]
        push.override(task_id=task_id, queue=queue)("kinds_bypassing", task_id)


kinds()
kinds_bypassing()
