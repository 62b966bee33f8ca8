#!/usr/bin/env bash
# versitygw: HEAD of the version "null" says 404, and DELETE of the same version deletes the object.
#
# An object that was written before versioning was switched on has the version id "null" on S3, and HEAD, GET and
# DELETE take that id. On versitygw HEAD with it answers 404 while HEAD without it answers 200. DELETE with it
# answers 204, and the object is gone: whoever looks before deleting is told that there is nothing to delete.
# SeaweedFS 4.48, moto 5.2.5 and S3Mock 5.2.0 answer 200 to the HEAD, as S3 does.
#
# Seen with versitygw 1.8.0 (posix backend with --versioning-dir), botocore 1.43.117.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117'
GOBIN="$work" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir data versions
./versitygw --access key --secret secretsecret --port "127.0.0.1:$port" posix --versioning-dir "$work/versions" "$work/data" > versitygw.log 2>&1 &

cat > look.py <<'P'
import sys, time
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1",
                  aws_access_key_id="key", aws_secret_access_key="secretsecret", config=config)
for attempt in range(60):
    try:
        s3.create_bucket(Bucket="finding")
        break
    except EndpointConnectionError:
        time.sleep(1)

def status(operation, **more):
    try:
        return operation(Bucket="finding", Key="folder/key", **more)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]

s3.put_object(Bucket="finding", Key="folder/key", Body=b"1")
s3.put_bucket_versioning(Bucket="finding", VersioningConfiguration={"Status": "Enabled"})
seen = [
    ("HEAD", status(s3.head_object)),
    ("HEAD versionId=null", status(s3.head_object, VersionId="null")),
    ("DELETE versionId=null", status(s3.delete_object, VersionId="null")),
    ("HEAD afterwards", status(s3.head_object)),
]
for line in seen:
    print(*line)
sys.exit([answer for _, answer in seen] != [200, 404, 204, 404])
P
venv/bin/python look.py "$port"
echo "as stated"
