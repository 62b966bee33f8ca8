import json

from compat import ONCE, BashOperator, dag, task
from leaves import DOCUMENT


@task
def dumps():
    return json.dumps(DOCUMENT)


@task
def number():
    return json.dumps(123)


@task
def truth():
    return json.dumps(True)


@dag(dag_id="texts", **ONCE)
def texts():
    """Text that is JSON, as tasks return it that had it from elsewhere."""
    dumps()
    number()
    truth()
    BashOperator(task_id="echoes", bash_command="echo '" + json.dumps(DOCUMENT) + "'")


texts()
