import os
import time
from datetime import timedelta
from pathlib import Path

from compat import ONCE, dag, task
from leaves import LEAVES, leave


@task(retries=1, retry_delay=timedelta(seconds=1))
def report(ti=None):
    """In its first try it says which processes run it, waits for leave, and is killed while its value is stored."""
    if ti.try_number == 1:
        pid = Path(os.environ["AIRFLOW_HOME"], "pid")
        pid.with_suffix(".new").write_text(f"{os.getpid()} {os.getppid()}")
        pid.with_suffix(".new").rename(pid)
        while not pid.with_suffix(".go").exists():
            time.sleep(0.2)
    return leave(ti, LEAVES["killed"]["report"])


@dag(dag_id="killed", **ONCE)
def killed():
    report()


killed()
