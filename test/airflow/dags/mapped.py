from compat import ONCE, dag, task
from leaves import LEAVES, leave


@task
def part(index, ti=None):
    return leave(ti, LEAVES["mapped"]["part"][index])


@task
def total(values):
    return sum(len(value) for value in values)


@dag(dag_id="mapped", **ONCE)
def mapped():
    """A mapped task of which some instances return much, and one that takes them all."""
    total(part.expand(index=list(range(len(LEAVES["mapped"]["part"])))))


mapped()
