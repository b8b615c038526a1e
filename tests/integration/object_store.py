"""An S3-compatible server on loopback, in this process, that can be stopped and started again with what it holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from moto.server import ThreadedMotoServer
from toy_runs import free_port

# before any Ray starts: its workers inherit them; the server takes any
os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")


class ObjectStore:
    """The server."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: ThreadedMotoServer | None = None
        self.start()

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def address(self, place: str) -> str:
        """``s3://`` address of ``bucket/prefix`` on this server."""
        return f"s3://{place}?endpoint_override=127.0.0.1:{self._port}&scheme=http&region=us-east-1"

    def make_bucket(self, name: str) -> None:
        self._client().create_bucket(Bucket=name)

    def remove_bucket(self, name: str) -> None:
        """With everything in it, although somebody goes on writing."""
        client = self._client()
        for _ in range(100):
            for item in client.list_objects_v2(Bucket=name).get("Contents", []):
                client.delete_object(Bucket=name, Key=item["Key"])
            with suppress(client.exceptions.ClientError):
                client.delete_bucket(Bucket=name)
                return
        raise TimeoutError(f"{name}: was written to all the time")

    def _client(self) -> Any:
        import boto3

        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self._port}", region_name="us-east-1")


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A server with a bucket ``lab``."""
    server = ObjectStore()
    try:
        server.make_bucket("lab")
        yield server
    finally:
        server.stop()
