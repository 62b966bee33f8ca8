"""writer.py ENDPOINT KEY SECRET REGION: writes and reads as Airflow's backend does, told by lines of JSON, for as long as it is told."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import s3fs

endpoint, key, secret, region = sys.argv[1:]
fs = s3fs.S3FileSystem(
    key=key,
    secret=secret,
    endpoint_url=endpoint,
    client_kwargs={"region_name": region},
    config_kwargs={"s3": {"addressing_style": "path"}},
    use_listings_cache=False,
)


def create(path, body):
    """On the condition that there is no such object: what Airflow does not ask for, and s3fs can."""
    with fs.open(path, "xb") as file:
        file.write(body.encode())


def write(path, body, extra):
    """In the steps of XComObjectStorageBackend.serialize_value."""
    fs.exists(path)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    with fs.open(path, "wb", **extra) as file:
        file.write(body.encode())


def attempt(act):
    try:
        return {"ok": True, "text": act()}
    except Exception as error:
        return {"ok": False, "text": f"{type(error).__name__}: {error}"[:200]}


def read(path):
    fs.invalidate_cache()
    with fs.open(path, "rb") as file:
        return file.read().decode()


def answer(told):
    paths = [f"{told['bucket']}/{each}" for each in told["keys"]]
    if told["do"] == "read":
        return [attempt(lambda path=path: read(path)) for path in paths]
    if told["do"] == "create":
        return [attempt(lambda path=path: create(path, told["body"])) for path in paths]
    if told["do"] == "write":
        return [attempt(lambda path=path: write(path, told["body"], told["extra"])) for path in paths]
    # Thousands of keys: what is written and how is the same, short of looking whether it is there.
    with ThreadPoolExecutor(16) as pool:

        def put(path):
            with fs.open(path, "wb") as file:
                file.write(told["body"].encode())

        return list(pool.map(lambda path: attempt(lambda: put(path)), paths))


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
