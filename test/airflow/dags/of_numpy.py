from compat import ONCE, dag, task
from leaves import LEAVES, QUEUES, leave


@task
def push(dag_id, task_id, ti=None):
    return leave(ti, LEAVES[dag_id][task_id])


def pushes(dag_id):
    for task_id in LEAVES[dag_id]:
        push.override(task_id=task_id, queue=QUEUES.get((dag_id, task_id), "default"))(dag_id, task_id)


@dag(dag_id="numbers", **ONCE)
def numbers():
    """Values of numpy around the threshold."""
    pushes("numbers")


@dag(dag_id="numbers_bypassing", **ONCE)
def numbers_bypassing():
    """Some of them on the other queue."""
    pushes("numbers_bypassing")


numbers()
numbers_bypassing()
