"""Run in the release's Python (for boto3): bucket.py list|create|delete|empty|overwrite|fill|remove CONNECTION BUCKET [KEY...]."""

import base64
import json
import sys
from urllib.parse import parse_qs, unquote, urlsplit

import boto3

action, connection, bucket, *keys = sys.argv[1:]
uri = urlsplit(connection)
extra = parse_qs(uri.query)
s3 = boto3.client(
    "s3",
    aws_access_key_id=unquote(uri.username),
    aws_secret_access_key=unquote(uri.password),
    endpoint_url=extra["endpoint_url"][0],
    region_name=extra["region_name"][0],
)


def listed():
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            described = {
                "bucket": bucket,
                "key": entry["Key"],
                "bytes": entry["Size"],
                "last_modified": entry["LastModified"].isoformat(),
            }
            if entry["Size"] < 4096:
                body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                described["body_base64"] = base64.b64encode(body).decode()
            yield described


answer = []
if action == "create":
    s3.create_bucket(Bucket=bucket)
elif action == "list":
    answer = list(listed())
elif action == "delete":
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
elif action == "empty":
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
elif action == "overwrite":
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"no longer what the row stands for")
elif action == "fill":  # from a recording's objects.json
    with open(keys[0]) as file:
        for entry in json.load(file):
            body = base64.b64decode(entry["body_base64"]) if "body_base64" in entry else b"x" * entry["bytes"]
            s3.put_object(Bucket=entry["bucket"], Key=entry["key"], Body=body)
elif action == "remove":
    for entry in listed():
        s3.delete_object(Bucket=bucket, Key=entry["key"])
    s3.delete_bucket(Bucket=bucket)
print(json.dumps(answer))
