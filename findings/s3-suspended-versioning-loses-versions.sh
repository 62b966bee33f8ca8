#!/usr/bin/env bash
# moto and S3Mock destroy all older versions of a key when it is written while versioning is suspended.
#
# On S3 a PUT into a bucket whose versioning is suspended replaces the version "null" alone; the versions of before
# stay. moto and S3Mock keep nothing but the new one. A retention or restore test on them proves the opposite of
# what S3 does. versitygw 1.8.0 and SeaweedFS 4.48 keep the older versions.
#
# Seen with moto 5.2.5, S3Mock 5.2.0 (Java 17), botocore 1.43.117.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117' 'moto[server]==5.2.5'
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
  -Dartifact=com.adobe.testing:s3mock:5.2.0:jar:exec -DoutputDirectory=. > /dev/null
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
s3mock=$(free) moto=$(free)
java -jar s3mock-5.2.0-exec.jar --http.port="$s3mock" --server.port="$(free)" > s3mock.log 2>&1 &
venv/bin/moto_server -H 127.0.0.1 -p "$moto" > moto.log 2>&1 &

cat > look.py <<'P'
import sys, time
import boto3
from botocore.config import Config

def until_ready(act):
    for _ in range(90):
        try:
            return act()
        except Exception as error:
            last = error
            time.sleep(1)
    raise last

wrong = False
for name, port in zip(("moto", "S3Mock"), sys.argv[1:]):
    s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="key",
                      aws_secret_access_key="secretsecret", config=Config(s3={"addressing_style": "path"}))
    until_ready(lambda: s3.create_bucket(Bucket="finding"))
    versions = lambda: len(s3.list_object_versions(Bucket="finding", Prefix="key").get("Versions", []))
    s3.put_bucket_versioning(Bucket="finding", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2", b"3"):
        s3.put_object(Bucket="finding", Key="key", Body=body)
    before = versions()
    s3.put_bucket_versioning(Bucket="finding", VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket="finding", Key="key", Body=b"4")
    print(f"{name}: {before} versions before, {versions()} after (S3: 3 and 4)")
    wrong = wrong or (before, versions()) != (3, 1)
sys.exit(wrong)
P
venv/bin/python look.py "$moto" "$s3mock"
echo "as stated"
