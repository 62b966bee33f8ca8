"""What every task leaves. The DAGs push from these tables, and the plan of a recording is written from them.

LEAVES[dag][task] is {key: value}, or a list of those for a mapped task (by map index).
"""

import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from compat import AIRFLOW, measured_bytes

try:
    import pandas
except ImportError:  # not every release is installed with it
    pandas = None
try:
    import numpy
except ImportError:
    numpy = None

BUCKET = "airflow-xcom"


def text(size: int, letter: str = "x") -> str:
    """A string that measures exactly `size` bytes."""
    letters, rest = divmod(size - 2, measured_bytes(letter) - 2)
    return letter * letters + "x" * rest


def padded(make, size: int):
    """make(padding), with as much padding as brings it to exactly `size` bytes."""
    return make("x" * (size - measured_bytes(make(""))))


def mostly(item, size: int):
    """A list of this item, over and over, that measures exactly `size` bytes."""
    each = measured_bytes([item, item]) - measured_bytes([item])
    return padded(lambda x: [item] * ((size - 40) // each) + [x], size)


def is_pushable(make) -> bool:
    try:
        make(EDGE[0])
    except (TypeError, AttributeError):
        return False
    return True


WHEN = datetime(2026, 11, 1, 12, 30, 45, 123456, tzinfo=timezone.utc)
EDGE = (999, 1000, 1001)
SLASHED = 'a key with spaces, /slashes, 100% "quotes" and ключ'

KINDS = {
    "texts": {
        "ascii": text,
        "cyrillic": lambda n: text(n, "ж"),
        "emoji": lambda n: text(n, "🚀"),
        "quotes": lambda n: text(n, '"'),
        "backslashes": lambda n: text(n, "\\"),
        "controls": lambda n: text(n, "\x01"),
        "lines": lambda n: text(n, "\n"),
        "delete": lambda n: text(n, "\x7f"),
        "digits": lambda n: text(n, "7"),
        "identifiers": lambda n: mostly("1234567890123456789", n),
    },
    "numbers": {
        "integers": lambda n: mostly(123456, n),
        "long_integers": lambda n: mostly(2**60, n),
        "floats": lambda n: mostly(3.25, n),
        "long_floats": lambda n: mostly(0.1 + 0.2, n),
        "large_floats": lambda n: mostly(1e300, n),
        "small_floats": lambda n: mostly(1e-7, n),
        "smallest_floats": lambda n: mostly(2.5e-300, n),
        "whole_floats": lambda n: mostly(1e15, n),
        "round_floats": lambda n: mostly(1e16, n),
        "negative_zeros": lambda n: mostly(-0.0, n),
        "words": lambda n: mostly(None, n),
    },
    "containers": {
        "lists": lambda n: mostly([[], [1, [2]]], n),
        "dicts": lambda n: mostly({"zebra": {"b": [], "a": None}, "ключ": "ё", "c": {}}, n),
        "tuples": lambda n: mostly((1, 2), n),
        "nested_tuples": lambda n: mostly((1, (2, (3, "x"))), n),
        "sets": lambda n: mostly({1}, n),
    },
    "typed": {
        "datetimes": lambda n: mostly(WHEN, n),
        "dates": lambda n: mostly(date(2026, 11, 1), n),
        "durations": lambda n: mostly(timedelta(minutes=90), n),
        "decimals": lambda n: mostly(Decimal("1.10"), n),
    },
}
SIZED = {
    task: {f"{kind}_{n}": make(n) for kind, make in makes.items() for n in EDGE[:2]} for task, makes in KINDS.items()
}
if pandas:
    # Parquet in hexadecimal digits: one that measures a thousand bytes does not exist.
    FRAME = pandas.DataFrame({"order": [1, 2, 3], "customer": ["Ж", "б", "c"], "amount": [0.1, 0.2, 0.1 + 0.2]})
    SIZED["frames"] = {"frames_10000": padded(lambda x: [FRAME, x], 10_000)}

NUMBERS, NUMBERS_BYPASSING = {}, {}
if numpy:
    # A float64 is a float to `json.dumps`, and an object of serde's in the column: 25 of them are stored in three times their size.
    METRICS = {f"metric_{i:02}": numpy.float64(i / 7) for i in range(25)}
    OF_NUMPY = {
        "float64": lambda n: padded(lambda x: {**METRICS, "note": x}, n),
        "float64_in_tuples": lambda n: padded(lambda x: [(numpy.float64(1 / 7), numpy.float64(2 / 7))] * 10 + [x], n),
        "float32": lambda n: padded(lambda x: [numpy.float32(0.5)] * 10 + [x], n),
        "float16": lambda n: padded(lambda x: {"half": numpy.float16(0.5), "note": x}, n),
        "int64": lambda n: padded(lambda x: [numpy.int64(7)] * 10 + [x], n),
        "uint8": lambda n: padded(lambda x: [numpy.uint8(7)] * 10 + [x], n),
        "bool_": lambda n: padded(lambda x: [numpy.bool_(True)] * 10 + [x], n),
        "mixed": lambda n: padded(lambda x: [numpy.float64(0.25), numpy.float32(0.25), numpy.int64(7), x], n),
    }
    # Airflow 2 knows no float32, and asks numpy for names that numpy 2 has no longer.
    OF_NUMPY = {kind: make for kind, make in OF_NUMPY.items() if is_pushable(make)}
    NUMBERS = {
        **{kind: {f"{kind}_{n}": make(n) for n in EDGE} for kind, make in OF_NUMPY.items()},
        "alone": {"loss": numpy.float64(1 / 7), "return_value": numpy.float64(2.5)},
    }
    NUMBERS_BYPASSING = {
        "below": {f"{kind}_{n}": make(n) for kind, make in OF_NUMPY.items() for n in (998, 999)},
        "above": {f"{kind}_{n}": make(n) for kind, make in OF_NUMPY.items() for n in (1000, 1001)},
    }

DOCUMENT = {"rows": [1, 2, 3], "next": None, "complete": True}
LOOP = {
    "refine.guess": [{"return_value": i} for i in range(3)],
    "refine.enough": [{"_airflow_loop_decision_reason": f"round {i}"} for i in range(3)],
}

LEAVES = {
    "kinds": SIZED,
    "kinds_bypassing": SIZED,  # on a worker without the backend: what stays in the database and should not
    "sizes": {
        "small": {"return_value": "ok"},
        "large": {"return_value": text(5000)},
        "largest": {"return_value": text(60_000)},
        "edges": {
            **{f"ascii_{n}": text(n) for n in EDGE},
            **{f"cyrillic_{n}": text(n, "ж") for n in EDGE},
            **{f"emoji_{n}": text(n, "🚀") for n in EDGE},
        },
        "structures": {
            "integer": 42,
            "float": 1e300,
            "huge_floats": [1e300] * 40,  # measures 240 bytes and is 12 kB as text of a jsonb
            "floats": [1e300, 1.0, -0.0, 1e-7, 0.1],
            "true": True,
            "empty_text": "",
            "empty_list": [],
            "empty_dict": {},
            "unsorted": {"zebra": 1, "b": {"z": [], "a": None}, "alpha": [1, [2, [3, {"deep": "ё"}]]]},
            "numbers": list(range(400)),
            **{f"list_{n}": padded(lambda x: [1, 2.5, None, True, {"x": x}], n) for n in EDGE},
            **{f"dict_{n}": padded(lambda x: {"zebra": x, "alpha": [1, 2]}, n) for n in EDGE},
        },
        "typed": {
            **{f"tuple_{n}": padded(lambda x: (1, x), n) for n in EDGE},
            **{f"datetime_{n}": padded(lambda x: [WHEN, x], n) for n in EDGE},
            "set": {1},
            "not_a_number": padded(lambda x: [math.nan, math.inf, x], 1200),
        },
        "uris": {
            "elsewhere": "s3://warehouse/exports/2026/11/orders.parquet",
            "under_our_path": f"s3://aws_xcom@{BUCKET}/xcom/x/y/z",
            "under_our_bucket": f"s3://{BUCKET}/xcom/x/y/z",
            "several": [f"s3://warehouse/part-{i}.parquet" for i in range(3)],
            "large": "s3://warehouse/" + text(1200),
        },
        "hostile": {
            "quotes": '\'; DROP TABLE xcom; --" \\ \\" $$ $1 :x %s {{ ds }} ${HOME}',
            "lines": "first\nSET role postgres;\n\\restrict\n-- last\r\n\t\u2028",
            "json_object": '{"a": 1}',
            "json_text": '"quoted"',
            "json_number": "123",
            "json_reference": f'"s3://aws_xcom@{BUCKET}/xcom/x/y/z"',
            "markup": "<script>alert(1)</script>",
            "bidi": "\u202etxt.exe 🚀 \u0301",
            "classname": {"__classname__x": "builtins.tuple", "note": "nearly a serialised object"},
            SLASHED: "ok",
            "k" * 500: text(1500),
        },
        "nothing": {},
        "none": {"explicit": None},
    },
    "mapped": {
        "part": [{"return_value": text(n), "index": i} for i, n in enumerate((10, 999, 1000, 3000, 20, 1500))],
        "total": {"return_value": 10 + 999 + 1000 + 3000 + 20 + 1500 - 12},
    },
    "gathers": {
        "part": [{"return_value": text(n)} for n in (1500, 2500)],
        "first": {"return_value": text(1500)},
    },
    "flow": {
        "choose": {"return_value": "left", "skipmixin_key": {"followed": ["left"]}},
        "left": {"return_value": "went left"},
        "flaky": {"report": text(4000), "return_value": text(2000)},
        "group.inner": {"return_value": text(1800)},
        "group.outer": {"return_value": "ok"},
        "waits": {"before": text(1700), "return_value": "after"},
        "takes": {"return_value": {"flaky": 1998, "waits": 1698}},
        "starts_child": {"trigger_run_id": "manual__2026-11-01T07:00:00.250000+00:00"},
    },
    "child": {"report": {"return_value": text(1300)}},
    "legacy": {
        "small": {"return_value": "ok"},
        "extract": {"return_value": text(2400), "count": 12},
        "edges": {f"ascii_{n}": text(n) for n in EDGE},
        "rows": [{"return_value": text(n)} for n in (50, 2000, 2600)],
        "publish": {"return_value": text(2500)},
    },
    "pair": {
        "produce": {"return_value": text(2000), "count": 7},
        "small": {"return_value": "ok"},
        "consume": {"return_value": text(2000)},
    },
    "killed": {"report": {"return_value": text(1500)}},
    "retried": {"flaky": {"report": text(4000), "return_value": "ok"}},
    "stateful": {"remembers": {"return_value": text(1500), "count": 7}},
    "refused": {"report": {}},
    "ended": {"by_trigger": {"large": text(1900), "small": "ok"}},
    "twice": {"report": {"report": text(1600)}},
    "numbers": NUMBERS,
    "numbers_bypassing": NUMBERS_BYPASSING,
    "own": {
        "report": {"count": 7, "zero": 0, "ratio": 0.5, "true": True, "return_value": "ok"},
        "starts_child": {"trigger_run_id": "manual__2026-11-01T07:00:00.250000+00:00"},
        **(LOOP if AIRFLOW[:2] >= ("3", "4") else {}),
    },
    "own_child": {"report": {"return_value": 1}},
    "steps": {"report": {f"text_{n}": text(n) for n in (500, 1500, 2000, 2500, 5000, 6000, 7000)}},
    "texts": {
        "dumps": {"return_value": json.dumps(DOCUMENT)},
        "number": {"return_value": "123"},
        "truth": {"return_value": "true"},
        "echoes": {"return_value": json.dumps(DOCUMENT)},
    },
    "dashed": {"report": {**{key: text(1600) for key in ("row-count", "a.b", "x--y", "-", "k with space", SLASHED)}, "small-one": "ok"}},
}

if AIRFLOW[:2] == ("3", "0"):
    # Its execution API refuses both: 422 for a pushed None, 404 for a key with a slash. The task fails.
    del LEAVES["sizes"]["none"]
    del LEAVES["sizes"]["hostile"][SLASHED]
    del LEAVES["dashed"]["report"][SLASHED]

# A branch that skips something ends by an exception on Airflow 3, so it returns nothing there.
AIRFLOW_2_ONLY = {("flow", "choose", "return_value")}

# What a first try leaves that fails later. From Airflow 3.4 these rows, and their objects, stay with the archived try.
FIRST_TRY = {("flow", "flaky"): ["report"], ("retried", "flaky"): ["report"]}

# Tasks that are not listed run on the default queue.
QUEUES = {
    **{("legacy", task): "legacy" for task in ("small", "extract", "edges", "rows")},
    **{("kinds_bypassing", task): "legacy" for task in SIZED},
    **{("numbers_bypassing", task): "legacy" for task in NUMBERS_BYPASSING},
}


def leave(ti, task_instance_leaves: dict):
    """Pushes what a task leaves; the value to return is left to the caller's `return`."""
    for key, value in task_instance_leaves.items():
        if key != "return_value":
            ti.xcom_push(key=key, value=value)
    return task_instance_leaves.get("return_value")
