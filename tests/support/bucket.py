"""An S3-compatible server of our own on a loopback port, and a bucket in it."""

import contextlib
import logging
import secrets
from collections.abc import Iterator

import boto3  # type: ignore[import-untyped]
from moto.server import ThreadedMotoServer

from origin.store.s3_address import S3Address, S3Login

LOGIN = S3Login("access-of-tests", "secret-of-tests")


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The base URL of a server that runs while entered."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(endpoint: str, prefix: str = "media") -> str:
    """The address of a fresh, empty bucket there."""
    name = f"test-{secrets.token_hex(6)}"
    client(endpoint).create_bucket(Bucket=name)
    return f"s3://{name}/{prefix}?endpoint={endpoint}&region=us-east-1"


def client(endpoint: str):  # type: ignore[no-untyped-def] # boto3 makes its classes when it runs
    """boto3's client, to look at what is there with other eyes."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=LOGIN.access_key,
        aws_secret_access_key=LOGIN.secret_key,
    )


def uploads_left(text: str) -> int:
    """Multipart uploads that are neither completed nor aborted."""
    address = S3Address.parse(text)
    found = client(address.endpoint).list_multipart_uploads(Bucket=address.bucket)
    return len(found.get("Uploads", []))
