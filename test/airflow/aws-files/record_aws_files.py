"""Asks an installed botocore what it makes of every case, and writes its answers.

    python test/airflow/aws-files/record_aws_files.py test/fixtures/aws-files

Run it with the interpreter of an environment in which the release of Airflow is installed. Nothing is sent: a client is made,
and an address is signed.
"""

import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
from aws_files_cases import CASES

HOME = Path(tempfile.mkdtemp())
FILES = {"config": HOME / "config", "credentials": HOME / "credentials"}


def answer(one: dict) -> dict:
    for name, path in FILES.items():
        path.write_bytes(one[name].encode(one["encoding"]))
    os.environ.clear()
    os.environ.update(
        HOME=str(HOME), AWS_CONFIG_FILE=str(FILES["config"]), AWS_SHARED_CREDENTIALS_FILE=str(FILES["credentials"]), AWS_EC2_METADATA_DISABLED="true"
    )  # fmt: skip
    if one["profile"] is not None:
        os.environ["AWS_PROFILE"] = one["profile"]
    try:
        session = botocore.session.Session()
        credentials = session.get_credentials()
        # A role or a program is asked when something is signed.
        is_held = credentials is not None and credentials.method in ("shared-credentials-file", "config-file")
        given = {"aws_access_key_id": "A", "aws_secret_access_key": "S"} if not is_held else {}
        client = session.create_client("s3", **given)
        signed = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"}))
    except Exception as error:
        return {"refused": type(error).__name__}
    return {
        "keys": [credentials.access_key, credentials.secret_key, credentials.token or None] if is_held else None,
        "region": client.meta.region_name,
        "at": f"{signed.scheme}://{signed.netloc}{signed.path}",
        "checksums": getattr(client.meta.config, "request_checksum_calculation", None),
        "authorities": session.get_config_variable("ca_bundle"),
    }


folder = Path(sys.argv[1])
answers = ",\n".join(json.dumps({"case": one, "answer": answer(one)}) for one in CASES)
release = version("botocore")
(folder / "answers.json").write_text(f'{{"botocore": "{release}", "cases": [\n{answers}\n]}}\n')
print(release, len(CASES))
