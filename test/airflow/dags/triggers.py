from airflow.triggers.base import BaseTrigger, TaskSuccessEvent
from leaves import LEAVES


class EndsTask(BaseTrigger):
    """Ends the task it was deferred for; no worker sees it again."""

    def serialize(self):
        return "triggers.EndsTask", {}

    async def run(self):
        yield TaskSuccessEvent(xcoms=LEAVES["ended"]["by_trigger"])
