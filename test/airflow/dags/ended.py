from compat import ONCE, BaseOperator, dag
from triggers import EndsTask


class Defers(BaseOperator):
    def execute(self, context):
        self.defer(trigger=EndsTask(), method_name="never_called")


@dag(dag_id="ended", **ONCE)
def ended():
    """A task whose XComs are written by the triggerer."""
    Defers(task_id="by_trigger")


ended()
