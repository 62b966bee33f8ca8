from airflow.sdk import Asset
from compat import ONCE, dag, task
from leaves import LEAVES, leave, text

ORDERS = Asset(name="orders", uri="s3://warehouse/orders")
UUID = "6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b"  # a key like the name of an XCom's object


@task(outlets=[ORDERS])
def remembers(ti=None, task_state_store=None, asset_state_store=None):
    for key, value in {"cursor": 41, "page with spaces": text(2000), UUID: text(1200)}.items():
        task_state_store.set(key, value)
    for key, value in {"watermark": "2026-11-01", UUID: text(1100)}.items():
        asset_state_store[ORDERS].set(key, value)
    return leave(ti, LEAVES["stateful"]["remembers"])


@dag(dag_id="stateful", **{**ONCE, "schedule": None})
def stateful():
    """A task with a memory of its own beside its XComs."""
    remembers()


stateful()
