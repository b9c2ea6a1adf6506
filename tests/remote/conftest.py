"""Servers that tests of tables at URLs share."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.remote.servers import S3Server, WebServer, closing

KEYS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture(scope="session")
def s3_server():
    pytest.importorskip("moto", reason="moto, an S3-compatible server, is not installed")
    with closing(S3Server()) as server:
        yield server


class Bucket:
    """A new bucket, with the server that it is on."""

    def __init__(self, server, name):
        from pyarrow.fs import S3FileSystem

        self.server, self.url = server, f"s3://{name}"
        self._name = name
        self._files = S3FileSystem(
            access_key="key",
            secret_key="secret-of-the-test",
            endpoint_override=server.url,
            region="us-east-1",
            allow_bucket_creation=True,
        )
        self._files.create_dir(name)

    def put(self, name, content):
        with self._files.open_output_stream(f"{self._name}/{name}", compression=None) as stream:
            stream.write(content)
        return f"{self.url}/{name}"

    def get(self, name):
        with self._files.open_input_stream(f"{self._name}/{name}") as stream:
            return stream.read()

    def names(self):
        from pyarrow.fs import FileSelector

        found = self._files.get_file_info(FileSelector(self._name, recursive=True))
        return sorted(each.path.removeprefix(f"{self._name}/") for each in found if each.is_file)


@pytest.fixture
def bucket(s3_server, request, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    name = "t" + "".join(letter for letter in request.node.name.lower() if letter.isalnum())[-50:]
    yield Bucket(s3_server, name)
    s3_server.fail, s3_server.after = lambda *_: None, lambda *_: None


@pytest.fixture
def web(monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("dlcli.tables.remote_files._WAITS", (0.01, 0.01))
    with closing(WebServer()) as server:
        yield server


@pytest.fixture
def memory():
    """fsspec's files in memory, as a function that writes one and returns its URL."""
    files = pytest.importorskip("fsspec").filesystem("memory")

    def put(name, content):
        files.pipe(f"/{name}", content)
        return f"memory://{name}"

    yield put
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def parquet(columns, **options):
    """A Parquet file."""
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    return stream.getvalue()
