#!/usr/bin/env bash
# versitygw refuses a PUT while another request deletes the last object of the same folder.
#
# On S3 keys know nothing of each other. versitygw keeps each key as a file below a directory, and a DELETE of the
# last file removes the directory too. A PUT that arrives between the two is answered
# 409 ExistingObjectIsDirectory, though no key is a prefix of another; nothing is stored.
#
# Seen with versitygw 1.8.0 (posix backend), botocore 1.43.117: six clients, each with keys of its own in one folder,
# PUT, HEAD, DELETE in turn: about 1 PUT in 300 is refused.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117'
GOBIN="$work" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir data
./versitygw --access key --secret secretsecret --port "127.0.0.1:$port" posix data > versitygw.log 2>&1 &

cat > look.py <<'P'
import collections, sys, threading, time
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=20)
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1",
                  aws_access_key_id="key", aws_secret_access_key="secretsecret", config=config)
for attempt in range(60):
    try:
        s3.create_bucket(Bucket="finding")
        break
    except EndpointConnectionError:
        time.sleep(1)

refused = collections.Counter()
sent = 0
stop = threading.Event()

def write(writer):
    global sent
    for n in range(2_000):
        if stop.is_set():
            return
        key = f"folder/{writer}-{n}"
        sent += 1
        try:
            s3.put_object(Bucket="finding", Key=key, Body=b"1")
            s3.delete_object(Bucket="finding", Key=key)
        except ClientError as error:
            answer = error.response
            refused[answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], error.operation_name] += 1
            stop.set()

writers = [threading.Thread(target=write, args=(n,)) for n in range(6)]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
print(f"refused after {sent} PUTs: {dict(refused)}")
sys.exit((409, "ExistingObjectIsDirectory", "PutObject") not in refused)
P
venv/bin/python look.py "$port"
echo "as stated"
