#!/usr/bin/env bash
# From Airflow 3.2 on, a value in config_kwargs that botocore refuses comes out of a push to object storage as NoCredentialsError.
#
# An AWS connection has keys, an endpoint and a typing error in config_kwargs: the mode of retries in capital letters. botocore says which value
# it refuses and which it takes. A push to object storage begins by making the folder of its object, with parent.mkdir(). Up to Airflow 3.1 this
# raised what botocore said. Since the class was rebuilt on universal-pathlib's proxies, the path swallows the error when it is made, with a line
# at the level DEBUG. It goes on with a file system that knows nothing of the connection and asks AWS. What the task raises is "Unable to locate
# credentials", of a connection that has them. Where a machine has credentials of its own, they are used.
#
#   retries of config_kwargs   raised by parent.mkdir()   3.1.8                   3.3.2
#   {"mode": "STANDARD"}                                  InvalidRetryModeError   NoCredentialsError
#
# Seen with apache-airflow 3.2.2, 3.3.2 and 3.4.0b2 (amazon 9.29.0, 9.36.0 and 9.39.0); not with 2.9.3, 2.10.5, 2.11.2 and 3.1.8 (amazon 8.26.0 to 9.24.0).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv tool
tool/bin/pip -q install 'uv==0.9.7'

cat > look.py <<'P'
import json, logging, os, sys

logging.disable(logging.CRITICAL)
RETRIES = {"mode": "STANDARD"}
os.environ["AIRFLOW_CONN_STORE"] = json.dumps(
    {
        "conn_type": "aws",
        "login": "key-of-the-store",
        "password": "secret-of-the-store",
        "extra": {
            "endpoint_url": "http://127.0.0.1:9",
            "region_name": "us-east-1",
            "config_kwargs": {"retries": RETRIES},
        },
    }
)
import botocore.config, botocore.exceptions
from airflow.sdk import ObjectStoragePath

try:
    botocore.config.Config(retries=RETRIES)
    sys.exit(2)
except botocore.exceptions.InvalidRetryModeError as error:
    print(f"botocore: {error}")
try:
    ObjectStoragePath("s3://store@bucket/run/key").parent.mkdir(parents=True, exist_ok=True)
    raised = None
except Exception as error:
    raised = error
print(f"{sys.argv[1]} mkdir: {type(raised).__name__}: {raised}")
sys.exit(type(raised).__name__ != sys.argv[2])
P
look() {
  tool/bin/uv venv -q --python "$(command -v python3)" "$1"
  tool/bin/uv pip install -q --python "$1/bin/python" --exclude-newer "$5" "apache-airflow==$1" "apache-airflow-providers-amazon[s3fs]==$3" "universal-pathlib==$4"
  env -i PATH="$PATH" HOME="$work" AIRFLOW_HOME="$work/home-$1" AWS_EC2_METADATA_DISABLED=true \
    "$1/bin/python" look.py "$1" "$2" > out 2> err || { code=$?; cat out; tail -3 err; exit $code; }
  grep -E "^(botocore|$1)" out
}
look 3.1.8 InvalidRetryModeError 9.23.0 0.2.6 2026-03-15
look 3.3.2 NoCredentialsError 9.36.0 0.3.10 2026-09-25
