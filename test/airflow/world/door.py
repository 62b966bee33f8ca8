"""An S3 in small that enforces an IAM policy and writes down what it is asked: also STS, a proxy and the agent of credentials."""

import contextlib
import fnmatch
import json
import re
import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

ALL = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


def one_or_more(value):
    return value if isinstance(value, list) else [value]


def allows(policy, action, resource, context):
    """IAM's decision: an explicit deny wins, and what no statement allows is refused."""
    decision = False
    for statement in policy["Statement"]:
        if not any(fnmatch.fnmatchcase(action, pattern) for pattern in one_or_more(statement["Action"])):
            continue
        if not any(fnmatch.fnmatchcase(resource, pattern) for pattern in one_or_more(statement["Resource"])):
            continue
        wanted = statement.get("Condition", {}).get("StringLike", {})
        if not all(
            name in context and any(fnmatch.fnmatchcase(context[name], p) for p in one_or_more(patterns))
            for name, patterns in wanted.items()
        ):
            continue
        if statement["Effect"] == "Deny":
            return False
        decision = True
    return decision


def pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Door:
    """`buckets`: names that exist. `keys`: access key ids that are known; None takes every one, also no one.

    `tunnel`: the port to which CONNECT leads, whatever host it names."""

    def __init__(self, *, policy=None, buckets=("xcoms",), keys=None, certificate=None, tunnel=None):
        self.policy = policy or ALL
        self.buckets = set(buckets)
        self.keys = keys
        self.tunnel = tunnel
        self.objects = {}
        self.requests = []
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _serve(self):
                door.answer(self)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do_CONNECT = _serve

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.port = self.server.server_address[1]
        self.url = f"{scheme}://localhost:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self):
        """What it was asked since the last time."""
        taken, self.requests = self.requests, []
        return taken

    def answer(self, handler):
        body = self._body(handler)
        target = urlsplit(handler.path)
        host = handler.headers.get("Host", "").split(":")[0]
        note = {
            "proxied": bool(target.scheme) or handler.command == "CONNECT", "host": host,
            "proxy_user": handler.headers.get("Proxy-Authorization"),
        }  # fmt: skip
        if handler.command == "CONNECT":
            self.requests.append({**note, "operation": "CONNECT", "host": handler.path})
            return self._connect(handler) if self.tunnel else self._send(handler, 502)
        if target.path == "/credentials":
            self.requests.append({**note, "operation": "ContainerCredentials"})
            return self._credentials_of_agent(handler)
        if handler.command == "POST" and b"Action=" in body:
            return self._sts(handler, body, note)
        bucket, key = self._address(host, unquote(target.path))
        query = parse_qs(target.query, keep_blank_values=True)
        signed = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", handler.headers.get("Authorization", ""))
        operation, action = self._operation(handler.command, key, query)
        note = {
            **note, "operation": operation, "bucket": bucket, "key": key,
            "signed_by": signed and signed[1], "region": signed and signed[2],
            "token": handler.headers.get("x-amz-security-token"),
            "checksum": sorted(
                name.lower() for name in handler.headers
                if re.match("x-amz-(checksum|sdk-checksum|trailer)|content-md5", name.lower())
            ),
            "style": "path" if unquote(target.path).startswith(f"/{bucket}") else "virtual",
        }  # fmt: skip
        code, status = self._decide(note, action, query, body, handler)
        self.requests.append({**note, "status": status, "code": code})

    def _connect(self, handler):
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        with socket.create_connection(("127.0.0.1", self.tunnel)) as far:
            back = threading.Thread(target=pump, args=(far, handler.connection), daemon=True)
            back.start()
            pump(handler.connection, far)
            back.join(5)

    def _decide(self, note, action, query, body, handler):
        def refuse(status, code):
            self._send(handler, status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())
            return code, status

        bucket, key, operation = note["bucket"], note["key"], note["operation"]
        if self.keys is not None and note["signed_by"] not in self.keys:
            return refuse(403, "AccessDenied" if note["signed_by"] is None else "InvalidAccessKeyId")
        resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
        context = {"s3:prefix": query["prefix"][0]} if "prefix" in query else {}
        if not allows(self.policy, action, resource, context):
            return refuse(403, "AccessDenied")
        if operation == "CreateBucket":
            if bucket in self.buckets:
                return refuse(409, "BucketAlreadyOwnedByYou")
            self.buckets.add(bucket)
            self._send(handler, 200)
            return None, 200
        if bucket not in self.buckets:
            return refuse(404, "NoSuchBucket")
        held = self.objects.get((bucket, key))
        if operation in ("HeadObject", "GetObject") and held is None:
            # S3 does not tell whether it is there to somebody who may not list.
            may_list = allows(self.policy, "s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": key})
            return refuse(404, "NoSuchKey") if may_list else refuse(403, "AccessDenied")
        if operation == "PutObject":
            self.objects[(bucket, key)] = body
        if operation == "DeleteObject":
            self.objects.pop((bucket, key), None)
        answers = {
            "GetBucketLocation": b"<LocationConstraint/>",
            "GetObject": held,
            "HeadObject": held,
            "ListObjectsV2": self._listing(bucket, query),
        }
        status = 204 if operation == "DeleteObject" else 200
        self._send(handler, status, answers.get(operation) or b"", {"ETag": '"0"'})
        return None, status

    def _listing(self, bucket, query):
        prefix = query.get("prefix", [""])[0]
        keys = sorted(key for held, key in self.objects if held == bucket and key.startswith(prefix))
        contents = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(self.objects[(bucket, key)])}</Size><ETag>&quot;0&quot;</ETag>"
            "<LastModified>2026-11-28T00:00:00.000Z</LastModified></Contents>"
            for key in keys
        )
        return (
            f"<ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>"
            f"<KeyCount>{len(keys)}</KeyCount>{contents}</ListBucketResult>"
        ).encode()

    @staticmethod
    def _operation(method, key, query):
        if key:
            name = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}[method]
            return name, "s3:GetObject" if name == "HeadObject" else f"s3:{name}"
        if method == "HEAD":
            return "HeadBucket", "s3:ListBucket"
        if method == "PUT":
            return "CreateBucket", "s3:CreateBucket"
        if "location" in query:
            return "GetBucketLocation", "s3:GetBucketLocation"
        return "ListObjectsV2", "s3:ListBucket"

    @staticmethod
    def _address(host, path):
        match = re.match(r"^(.+?)\.(?:localhost|s3[.-].*|s3)$", host)
        if match and not host.startswith("s3."):
            return match[1], path.lstrip("/")
        bucket, _, key = path.lstrip("/").partition("/")
        return bucket, key

    def _sts(self, handler, body, note):
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        asked.pop("Version", None)
        self.requests.append({**note, "operation": asked.pop("Action"), "asked": asked})
        action = self.requests[-1]["operation"]
        until = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._send(
            handler, 200,
            f"<{action}Response><{action}Result><Credentials><AccessKeyId>ROLE</AccessKeyId>"
            f"<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>"
            f"<Expiration>{until}</Expiration></Credentials></{action}Result></{action}Response>".encode(),
        )  # fmt: skip

    def _credentials_of_agent(self, handler):
        until = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = {"AccessKeyId": "AGENT", "SecretAccessKey": "agent-secret", "Token": "agent-token", "Expiration": until}
        self._send(handler, 200, json.dumps(given).encode(), {"Content-Type": "application/json"})

    @staticmethod
    def _body(handler):
        if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(handler.rfile.readline().split(b";")[0], 16):
                body += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
        else:
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if not handler.headers.get("x-amz-content-sha256", "").startswith("STREAMING"):
            return body
        plain, rest = b"", body
        while rest:
            head, _, rest = rest.partition(b"\r\n")
            if not (size := int(head.split(b";")[0], 16)):
                return plain
            plain, rest = plain + rest[:size], rest[size + 2 :]
        return plain

    @staticmethod
    def _send(handler, status, body=b"", headers=None):
        handler.send_response(status)
        for name, value in {"Content-Type": "application/xml", **(headers or {})}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)
