#!/usr/bin/env bash
# An AWS connection that Airflow cannot parse does not stop object storage: requests go to AWS itself, unsigned.
#
# A worker gets its connection to a MinIO or a Ceph in a variable AIRFLOW_CONN_<ID>. With a raw slash in the secret of a URI, or one
# comma too many in JSON, Airflow cannot read it. get_fs() of the Amazon provider takes that for a connection that is not there: the endpoint
# is AWS' own, and where no other credentials are found it is anonymous. With only `extra` broken the keys stay and the endpoint goes, so the key
# of the private storage signs requests to AWS. The log says "Unable to find AWS Connection ID" of a variable that is set, or nothing. The first request
# fails, or finds the bucket of somebody else that has this name.
#
#   AIRFLOW_CONN_<ID>                     anonymous   endpoint
#   right                                 no          the private one
#   URI with a slash in its secret        yes         AWS
#   JSON with a comma at its end          yes         AWS
#   JSON whose extra is no JSON           no          AWS
#   not set                               yes         AWS
#
# Seen with apache-airflow 2.11.2 and 3.3.2, apache-airflow-providers-amazon 9.24.0, 9.36.0 and 9.39.0, s3fs 2026.9.0 (Python 3.11 and 3.12).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'uv==0.9.7'
venv/bin/uv pip install -q --python venv/bin/python --exclude-newer 2026-09-25 \
  'apache-airflow==3.3.2' 'apache-airflow-providers-amazon[s3fs]==9.36.0'

cat > look.py <<'P'
import json, logging, os, sys

logging.disable(logging.CRITICAL)
PRIVATE = "http://storage.internal:9000"
right = {"conn_type": "aws", "login": "key-of-minio", "password": "secret-of-minio", "extra": {"endpoint_url": PRIVATE}}
CASES = {
    "right": json.dumps(right),
    "slash in the secret of a URI": "aws://key-of-minio:secret/of-minio@/?endpoint_url=http%3A%2F%2Fstorage.internal%3A9000",
    "comma at the end of JSON": json.dumps(right)[:-1] + ",}",
    "extra that is no JSON": json.dumps(right | {"extra": f"endpoint_url: {PRIVATE}"}),
    "not set": None,
}
EXPECTED = {
    "right": (False, PRIVATE),
    "slash in the secret of a URI": (True, None),
    "comma at the end of JSON": (True, None),
    "extra that is no JSON": (False, None),
    "not set": (True, None),
}
for index, text in enumerate(CASES.values()):
    if text is not None:
        os.environ[f"AIRFLOW_CONN_C{index}"] = text
from airflow.providers.amazon.aws.fs.s3 import get_fs

seen = {}
for index, case in enumerate(CASES):
    storage = get_fs(f"c{index}")
    seen[case] = (storage.anon, storage.endpoint_url)
    print(f"{case}: anonymous {storage.anon}, endpoint {storage.endpoint_url or 'of AWS'}")
sys.exit(seen != EXPECTED)
P
# No other credentials than those of the connection.
env -i PATH="$PATH" HOME="$work" AIRFLOW_HOME="$work" AWS_EC2_METADATA_DISABLED=true venv/bin/python look.py 2> err || { code=$?; tail -3 err; exit $code; }
