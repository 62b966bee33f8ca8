#!/usr/bin/env bash
# The same environment makes botocore and the AWS SDK for JavaScript two different identities in two regions.
#
# A Python worker and a Node process beside it are given the same variables and files. They sign with other keys:
#                                          botocore                    SDK for JavaScript
#   AWS_PROFILE and keys in variables      the keys of the variables   the keys of the profile
#   AWS_DEFAULT_PROFILE                    its profile                 not read: the profile "default"
#   AWS_DEFAULT_PROFILE and AWS_PROFILE    AWS_DEFAULT_PROFILE's       AWS_PROFILE's
#   AWS_REGION and AWS_DEFAULT_REGION      AWS_DEFAULT_REGION          AWS_REGION
#   AWS_REGION alone                       not read                    AWS_REGION
#   AWS_SECURITY_TOKEN                     sent as the session token   not read: signed without a token
# Nothing fails where both identities exist; the two just see different permissions.
#
# Seen with boto3 and botocore 1.43.117 (Python 3.11), @aws-sdk/client-s3 3.1173.0 (Node 20 to 24).
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'boto3==1.43.117'
npm init -y > /dev/null
npm install --silent --no-fund --no-audit '@aws-sdk/client-s3@3.1173.0'
mkdir .aws
cat > .aws/credentials <<'C'
[default]
aws_access_key_id = KEYOFDEFAULT
aws_secret_access_key = secret
[team]
aws_access_key_id = KEYOFTEAM
aws_secret_access_key = secret
C
cat > .aws/config <<'C'
[default]
region = eu-west-1
[profile team]
region = eu-west-2
C

cat > ask.py <<'P'
import boto3
boto3.client("s3").head_object(Bucket="finding", Key="key")
P
cat > ask.mjs <<'J'
import { HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
await new S3Client({}).send(new HeadObjectCommand({ Bucket: 'finding', Key: 'key' }));
J
cat > look.py <<'P'
import http.server, os, re, subprocess, sys, threading

asked = []

class Listen(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        key, region = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", self.headers["Authorization"]).groups()
        asked.append((key, region, self.headers.get("x-amz-security-token")))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listen)
threading.Thread(target=server.serve_forever, daemon=True).start()
keys = {"AWS_ACCESS_KEY_ID": "KEYOFVARIABLES", "AWS_SECRET_ACCESS_KEY": "secret"}
rows = [
    ({**keys, "AWS_PROFILE": "team"}, ("KEYOFVARIABLES", "eu-west-2", None), ("KEYOFTEAM", "eu-west-2", None)),
    ({"AWS_DEFAULT_PROFILE": "team"}, ("KEYOFTEAM", "eu-west-2", None), ("KEYOFDEFAULT", "eu-west-1", None)),
    ({"AWS_DEFAULT_PROFILE": "team", "AWS_PROFILE": "default"},
     ("KEYOFTEAM", "eu-west-2", None), ("KEYOFDEFAULT", "eu-west-1", None)),
    ({**keys, "AWS_DEFAULT_REGION": "ap-south-1", "AWS_REGION": "sa-east-1"},
     ("KEYOFVARIABLES", "ap-south-1", None), ("KEYOFVARIABLES", "sa-east-1", None)),
    ({**keys, "AWS_REGION": "sa-east-1"}, ("KEYOFVARIABLES", "eu-west-1", None), ("KEYOFVARIABLES", "sa-east-1", None)),
    ({**keys, "AWS_REGION": "eu-west-1", "AWS_SECURITY_TOKEN": "token"},
     ("KEYOFVARIABLES", "eu-west-1", "token"), ("KEYOFVARIABLES", "eu-west-1", None)),
]
wrong = False
for variables, *stated in rows:
    world = {"PATH": os.environ["PATH"], "HOME": os.getcwd(), **variables,
             "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
    seen = []
    for command in (["venv/bin/python", "ask.py"], ["node", "ask.mjs"]):
        asked.clear()
        subprocess.run(command, env=world, capture_output=True)
        seen.append(asked[0] if asked else None)
    print(f"{' '.join(variables)}: botocore {seen[0]}, JavaScript {seen[1]}")
    if seen != stated:
        print(f"  changed: expected {stated}")
        wrong = True
sys.exit(wrong)
P
venv/bin/python look.py
echo "as stated"
