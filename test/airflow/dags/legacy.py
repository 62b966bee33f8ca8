from compat import ONCE, dag, task
from leaves import LEAVES, QUEUES, leave

HERE = LEAVES["legacy"]


@task
def push(task_id, ti=None):
    return leave(ti, HERE[task_id])


@task(queue="legacy")
def rows(index, ti=None):
    return leave(ti, HERE["rows"][index])


@dag(dag_id="legacy", **ONCE)
def legacy():
    """Most of it on a worker pool of its own; the last task on the default one."""
    mine = [
        push.override(task_id=task_id, queue=QUEUES["legacy", task_id])(task_id)
        for task_id in ("small", "extract", "edges")
    ]
    [*mine, rows.expand(index=list(range(len(HERE["rows"]))))] >> push.override(task_id="publish")("publish")


legacy()
