#!/usr/bin/env bash
# From Airflow 3.2 on, a copy of an ObjectStoragePath forgets its connection and points at AWS.
#
# copy.copy(), copy.deepcopy() and pickle gave an equal path with the same connection up to Airflow 3.1. In 3.2 the class was rebuilt
# on universal-pathlib's proxies, and none of the three carries the connection over: s3://conn@bucket/key comes back as s3://bucket/key, is not
# equal to what it was copied from, and has the endpoint of AWS and whatever credentials are found there. Nothing is raised or logged.
#
# Seen with apache-airflow 3.2.2, 3.3.2 and 3.4.0b2 (universal-pathlib 0.3.10); not with 2.11.2 and 3.1.8 (universal-pathlib 0.2.6).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv tool
tool/bin/pip -q install 'uv==0.9.7'

cat > look.py <<'P'
import copy, json, logging, os, pickle, sys

logging.disable(logging.CRITICAL)
PRIVATE = "http://storage.internal:9000"
os.environ["AIRFLOW_CONN_STORE"] = json.dumps(
    {"conn_type": "aws", "login": "key-of-minio", "password": "secret-of-minio", "extra": {"endpoint_url": PRIVATE}}
)
from airflow.sdk import ObjectStoragePath

path = ObjectStoragePath("s3://store@bucket/key")
if path.fs.endpoint_url != PRIVATE:
    sys.exit(2)
COPIES = {"copy": copy.copy(path), "deepcopy": copy.deepcopy(path), "pickle": pickle.loads(pickle.dumps(path))}
kept = {how: (one == path, str(one), one.fs.endpoint_url) for how, one in COPIES.items()}
for how, (equal, text, endpoint) in kept.items():
    print(f"{sys.argv[1]} {how}: equal {equal}, {text}, endpoint {endpoint or 'of AWS'}")
whole = (True, "s3://store@bucket/key", PRIVATE)
lost = (False, "s3://bucket/key", None)
sys.exit(set(kept.values()) != {whole if sys.argv[2] == "kept" else lost})
P
look() {
  tool/bin/uv venv -q --python "$(command -v python3)" "$1"
  tool/bin/uv pip install -q --python "$1/bin/python" --exclude-newer "$5" "apache-airflow==$1" "apache-airflow-providers-amazon[s3fs]==$3" "universal-pathlib==$4"
  env -i PATH="$PATH" HOME="$work" AIRFLOW_HOME="$work/home-$1" AWS_EC2_METADATA_DISABLED=true \
    "$1/bin/python" look.py "$1" "$2" > out 2> err || { code=$?; cat out; tail -3 err; exit $code; }
  grep "^$1" out
}
look 3.1.8 kept 9.23.0 0.2.6 2026-03-15
look 3.3.2 lost 9.36.0 0.3.10 2026-09-25
