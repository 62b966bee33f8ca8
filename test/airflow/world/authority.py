"""A certificate authority of one's own, and a certificate for this machine and the names that S3 and STS have at AWS."""

import subprocess
from pathlib import Path

NAMES = [
    "localhost", "proxy.test", "sts.amazonaws.com",
    *(
        f"{host}.{region}.amazonaws.com"
        for region in ("us-east-1", "eu-west-1", "eu-west-2")
        for host in ("s3", "*.s3", "s3-fips", "*.s3-fips", "*.s3-accesspoint", "s3.dualstack", "*.s3.dualstack", "sts")
    ),
    "s3.amazonaws.com", "*.s3.amazonaws.com", "*.s3-accelerate.amazonaws.com",
]  # fmt: skip


def create(folder: Path) -> tuple[Path, Path]:
    """The authority's certificate, and a file with a server's key and certificate."""
    authority, key = folder / "authority.pem", folder / "authority.key"
    own, request, server = folder / "server.key", folder / "server.csr", folder / "server.pem"
    (folder / "names").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in NAMES) + ",IP:127.0.0.1")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", key, "-out", authority, "-days", "2", "-subj", "/CN=authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    openssl("req", *curve, "-keyout", own, "-out", request, "-subj", "/CN=server")
    openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", key, "-CAcreateserial", "-days", "2",
            "-extfile", folder / "names", "-out", server)  # fmt: skip
    server.write_text(own.read_text() + server.read_text())
    return authority, server


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
