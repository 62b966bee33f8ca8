"""The few names that moved between Airflow 2 and 3."""

import json
import os
from datetime import datetime, timezone

from airflow import __version__
from airflow.utils.json import XComEncoder

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import BaseOperator, dag, task, task_group
except ImportError:
    from airflow.decorators import dag, task, task_group
    from airflow.models.baseoperator import BaseOperator
    from airflow.operators.bash import BashOperator
    from airflow.operators.trigger_dagrun import TriggerDagRunOperator
    from airflow.triggers.temporal import TimeDeltaTrigger

__all__ = [
    "AIRFLOW",
    "ONCE",
    "BaseOperator",
    "BashOperator",
    "TimeDeltaTrigger",
    "TriggerDagRunOperator",
    "dag",
    "measured_bytes",
    "task",
    "task_group",
]

AIRFLOW = tuple(__version__.split("."))

# One scheduled run as soon as the scheduler sees the DAG.
ONCE = {"schedule": "@once", "start_date": datetime(2026, 11, 1, 6, 30, tzinfo=timezone.utc), "catchup": False}


def measured_bytes(value) -> int:
    """What XComObjectStorageBackend compares with the threshold."""
    return len(json.dumps(value, cls=XComEncoder).encode())


def worker_hostname() -> str:
    """[core] hostname_callable: workers of a recording share one machine and still have names of their own."""
    return os.environ.get("RECORDING_HOSTNAME", "airflow-scheduler-0")
