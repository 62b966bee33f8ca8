#!/usr/bin/env bash
# Airflow's S3 REST signer gets its own address as the bearer token, and never the token of the connection.
#
# A connection may name a signer for object storage: service_config.s3.signer = S3V4RestSigner with signer_uri and signer_token. Each request
# to S3 is then signed by a POST to signer_uri, which should carry `Authorization: Bearer <signer_token>`. get_fs() demands the token,
# and puts signer_uri in its place. A signer that checks the token refuses every request.
#
# Seen with apache-airflow 3.3.2, apache-airflow-providers-amazon 9.36.0 and 9.39.0, s3fs 2026.9.0 (Python 3.11 and 3.12).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install 'uv==0.9.7'
venv/bin/uv pip install -q --python venv/bin/python --exclude-newer 2026-09-25 \
  'apache-airflow==3.3.2' 'apache-airflow-providers-amazon[s3fs]==9.36.0'

cat > look.py <<'P'
import http.server, json, os, sys, threading

LISTING = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>'
heard = []

class SignerAndStorage(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        heard.append(self.headers["authorization"])
        self.answer(json.dumps({"headers": {}, "uri": asked["uri"]}).encode())

    def do_GET(self):
        self.answer(LISTING)

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SignerAndStorage)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
signer = {"signer": "S3V4RestSigner", "signer_uri": f"{address}/signer", "signer_token": "token-of-the-connection"}
os.environ["AIRFLOW_CONN_SIGNED"] = json.dumps({
    "conn_type": "aws", "login": "key-of-nobody", "password": "secret-of-nobody",
    "extra": {"endpoint_url": address, "region_name": "us-east-1", "service_config": {"s3": signer}},
})
from airflow.providers.amazon.aws.fs.s3 import get_fs

get_fs("signed").ls("bucket")
print("the signer heard:", *sorted(set(heard)))
sys.exit(set(heard) != {f"Bearer {address}/signer"})
P
AIRFLOW_HOME="$work" venv/bin/python look.py 2> err || { code=$?; tail -3 err; exit $code; }
