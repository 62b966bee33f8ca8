#!/usr/bin/env bash
# versitygw with a sidecar: what is written under the key of a deleted object is answered with 404.
#
# On S3 a PUT under a key whose current version is a marker of a deletion makes the object current again, and HEAD
# answers 200. versitygw that keeps its metadata in a sidecar goes on to answer 404 to HEAD and NoSuchKey to GET, even
# after the marker itself has been deleted, and LIST lacks the key. The PUT answers 200. Without --sidecar, where the
# metadata are extended attributes, it does as S3 does.
#
# Seen with versitygw 1.8.0 (posix backend with --sidecar and --versioning-dir), botocore 1.43.117.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117'
GOBIN="$work" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir data versions sidecar
./versitygw --access key --secret secretsecret --port "127.0.0.1:$port" posix --sidecar "$work/sidecar" --versioning-dir "$work/versions" "$work/data" > versitygw.log 2>&1 &

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

def status(operation):
    try:
        return operation(Bucket="finding", Key="folder/key")["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]

s3.put_bucket_versioning(Bucket="finding", VersioningConfiguration={"Status": "Enabled"})
def written_and_seen():
    put = s3.put_object(Bucket="finding", Key="folder/key", Body=b"1")
    return put["VersionId"], [put["ResponseMetadata"]["HTTPStatusCode"], status(s3.head_object), status(s3.get_object)]

version, first = written_and_seen()
marker = s3.delete_object(Bucket="finding", Key="folder/key")["VersionId"]
for each in (version, marker):
    s3.delete_object(Bucket="finding", Key="folder/key", VersionId=each)
left = s3.list_object_versions(Bucket="finding")
nothing = len(left.get("Versions", [])) + len(left.get("DeleteMarkers", []))
_, second = written_and_seen()
keys = [each["Key"] for each in s3.list_objects_v2(Bucket="finding").get("Contents", [])]
print("PUT, HEAD, GET of a new key", first)
print("versions and markers after all are deleted", nothing)
print("PUT, HEAD, GET of the key again", second, "LIST", keys)
sys.exit((first, nothing, second, keys) != ([200, 200, 200], 0, [200, 404, 404], []))
P
venv/bin/python look.py "$port"
echo "as stated"
