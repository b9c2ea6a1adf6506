"""Tables at URLs: what is read of them, and what goes wrong."""

from __future__ import annotations

import gzip
import re
import socket
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest

from dlcli.errors import DataError, UsageError
from dlcli.schema.urls import Url
from dlcli.tables import remote_files
from dlcli.tables.remote_files import failure, file_version
from dlcli.tables.source_files import expand
from dlcli.tables.table_files import read_header, read_table
from tests.remote.conftest import parquet

CSV = b"x,y\n1,2\n3,4\n"
LONG_CSV = b"x,y\n" + b"".join(b"%d,%d\n" % (at, 2 * at) for at in range(200_000))
"""Two blocks and more than a small file."""
assert len(LONG_CSV) > 2 * remote_files._SMALL_BYTES


def column(source, name, **options):
    table = read_table(source, **options)
    return table.data.column(name).to_pylist()


class TestFormats:
    def test_csv_of_a_bucket(self, bucket):
        table = read_table(bucket.put("a.csv", CSV))
        assert table.file == f"{bucket.url}/a.csv"
        assert table.data.column("y").to_pylist() == ["2", "4"]

    def test_a_long_text_is_read_in_blocks(self, bucket):
        assert column(bucket.put("a.csv", LONG_CSV), "x") == [str(at) for at in range(200_000)]

    def test_a_header_needs_only_the_beginning_of_a_long_text(self, bucket):
        url, before = bucket.put("a.csv", LONG_CSV), bucket.server.sent
        assert read_header(url) == ("x", "y")
        assert bucket.server.sent - before < 2**21 + len(LONG_CSV) // 4

    def test_a_compressed_text(self, bucket):
        assert column(bucket.put("a.csv.gz", gzip.compress(LONG_CSV)), "x")[-1] == "199999"

    @pytest.mark.parametrize("rows", [10, 200_000])
    def test_parquet_and_arrow(self, bucket, rows):
        numbers = np.random.default_rng(0).random(rows)
        table, sink = pa.table({"x": numbers}), pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        for url in (
            bucket.put("a.parquet", parquet({"x": numbers}, row_group_size=70_000)),
            bucket.put("a.arrow", sink.getvalue()),
        ):
            assert column(url, "x") == numbers.tolist()

    def test_json_lines_in_memory(self, memory):
        assert column(memory("d/a.jsonl", b'{"x": 1}\n{"x": 2}\n'), "x") == [1, 2]

    def test_a_file_url_is_a_path(self, tmp_path):
        (tmp_path / "a b.csv").write_bytes(CSV)
        [path] = expand(f"file://{tmp_path}/a%20b.csv")
        assert path == tmp_path / "a b.csv"

    def test_only_the_columns_that_are_read_are_fetched(self, bucket):
        numbers = np.random.default_rng(0).random((20, 50_000))
        content = parquet({f"c{at}": column for at, column in enumerate(numbers)})
        url, before = bucket.put("a.parquet", content), bucket.server.sent
        table = read_table(url, columns=["c3"])
        assert table.columns == ("c3",)
        assert table.data.column("c3").to_pylist() == numbers[3].tolist()
        assert len(table.unread) == 19
        assert bucket.server.sent - before < len(content) / 5

    def test_all_columns_are_read_if_one_is_missing(self, bucket):
        url = bucket.put("a.parquet", parquet({"x": [1], "y": [2]}))
        assert read_table(url, columns=["x", "z"]).columns == ("x", "y")


class TestSeveralFiles:
    def test_a_glob_is_one_table_of_sorted_files(self, bucket):
        for name, content in {"b": b"x\n2\n", "a": b"x\n1\n", "c.other": b"z\n3\n"}.items():
            bucket.put(f"d/{name}.csv".replace(".other.csv", ".tsv"), content)
        bucket.put("d/deeper/e.csv", b"x\n5\n")
        assert column(f"{bucket.url}/d/*.csv", "x") == ["1", "2"]
        assert column(f"{bucket.url}/d/[b-z]*.csv", "x") == ["2"]
        assert column(f"{bucket.url}/d/**/*.csv", "x") == ["1", "2", "5"]

    def test_files_are_asked_for_at_the_same_time(self, bucket):
        urls = [bucket.put(f"{at}.csv", b"x\n%d\n" % at) for at in range(8)]
        waiting = threading.Barrier(8, timeout=60)
        first = iter(range(8))

        def meet(method, path):
            if next(first, None) is not None:
                waiting.wait()

        bucket.server.after = meet
        assert column(urls, "x") == [str(at) for at in range(8)]

    def test_a_list_of_urls_and_files(self, bucket, tmp_path):
        (tmp_path / "a.csv").write_bytes(CSV)
        assert column([tmp_path / "a.csv", bucket.put("a.csv", CSV)], "x") == ["1", "3"] * 2

    def test_a_url_named_twice(self, memory):
        url = memory("a.csv", CSV)
        with pytest.raises(UsageError, match="memory://a.csv: is listed twice"):
            read_table([url, url])

    def test_a_file_whose_name_reads_like_a_glob_is_that_file(self, bucket):
        bucket.put("d/a1.csv", b"x\n1\n")
        assert column(bucket.put("d/a[1].csv", CSV), "y") == ["2", "4"]

    def test_a_glob_without_a_match_names_what_is_there(self, bucket):
        bucket.put("d/a.csv", CSV)
        with pytest.raises(UsageError, match=r"/d/\*.tsv: matches no file; .*/d has 'a.csv'"):
            read_table(f"{bucket.url}/d/*.tsv")

    def test_a_pattern_of_buckets_is_refused(self):
        with pytest.raises(UsageError, match="the bucket's name can't contain a pattern"):
            read_table("s3://b*/a.csv")

    def test_a_folder_is_refused(self, bucket):
        bucket.put("d/a.csv", CSV)
        with pytest.raises(UsageError, match=r"/d: is a folder, .* use '.*/d/\*.parquet'"):
            read_table(f"{bucket.url}/d")

    def test_of_a_partitioned_folder_only_parquet_is_read(self, bucket):
        bucket.put("d/year=2024/a.csv", CSV)
        with pytest.raises(
            UsageError, match=r"/d: is a folder, .*, only Parquet files are supported$"
        ):
            read_table(f"{bucket.url}/d")

    def test_a_partitioned_folder_has_the_columns_of_its_names(self, bucket):
        bucket.put("d/year=2024/month=01/a.parquet", parquet({"x": [1, 2]}))
        bucket.put("d/year=2024/month=02/a.parquet", parquet({"x": [3]}))
        bucket.put("d/_SUCCESS", b"")
        table = read_table(f"{bucket.url}/d")
        assert table.data.to_pydict() == {
            "x": [1, 2, 3],
            "year": ["2024"] * 3,
            "month": ["01", "01", "02"],
        }


class TestWebServers:
    def test_a_small_file(self, web):
        web.files["/a.csv"] = CSV
        assert column(f"{web.url}/a.csv", "y") == ["2", "4"]

    def test_the_scheme_may_be_written_in_capitals(self, web):
        web.files["/A.csv"] = CSV
        assert column(f"{web.url}/A.csv".replace("http", "HTTP"), "y") == ["2", "4"]

    def test_a_query_without_a_secret(self, web):
        web.files["/a.csv"] = CSV
        assert column(f"{web.url}/a.csv?download=1", "y") == ["2", "4"]
        assert ("GET", "/a.csv?download=1", None) in web.requests

    def test_parts_of_parquet_are_fetched(self, web):
        numbers = np.random.default_rng(0).random(200_000)
        content = parquet({"x": numbers, "y": numbers, "z": numbers})
        web.files["/a.parquet"] = content
        assert column(f"{web.url}/a.parquet", "y", columns=["y"]) == numbers.tolist()
        ranges = [found.removeprefix("bytes=").split("-") for *_, found in web.requests if found]
        assert sum(int(last) - int(first) + 1 for first, last in ranges) < len(content) / 2

    def test_a_server_that_sends_no_parts(self, web):
        numbers = np.random.default_rng(0).random(200_000)
        web.files["/a.parquet"], web.ranges = parquet({"x": numbers}), False
        assert column(f"{web.url}/a.parquet", "x") == numbers.tolist()

    def test_a_server_that_states_no_size(self, web):
        web.files["/a.csv"], web.states_size = LONG_CSV, False
        assert len(column(f"{web.url}/a.csv", "x")) == 200_000

    def test_what_may_pass_is_tried_again(self, web):
        web.files["/a.csv"] = LONG_CSV
        web.statuses = [200, 503, 429]  # the first is of the request for its size
        assert len(column(f"{web.url}/a.csv", "x")) == 200_000

    def test_a_part_is_fetched_again_if_the_connection_is_lost(self, web):
        web.files["/a.csv"], web.lost = LONG_CSV, [False, False, True, True]
        assert len(column(f"{web.url}/a.csv", "x")) == 200_000
        assert web.lost == []

    def test_a_part_of_parquet_is_fetched_again_if_the_connection_is_lost(self, web):
        numbers = np.random.default_rng(0).random(200_000)
        web.files["/a.parquet"] = parquet({"x": numbers}, row_group_size=50_000)
        web.lost = [False, False, True, True, False, True]
        assert column(f"{web.url}/a.parquet", "x") == numbers.tolist()
        assert web.lost == []

    def test_a_part_of_parquet_that_is_lost_again_and_again_is_an_error(self, web):
        numbers = np.random.default_rng(0).random(200_000)
        web.files["/a.parquet"], web.lost = parquet({"x": numbers}), [False, False, *[True] * 99]
        with pytest.raises(UsageError, match="a.parquet: can't be reached: Response payload"):
            read_table(f"{web.url}/a.parquet")

    def test_a_file_whose_rest_is_lost(self, web):
        web.files["/a.csv"], web.lost = CSV, [True]
        with pytest.raises(UsageError, match="can't be reached: Response payload is not completed"):
            read_table(f"{web.url}/a.csv")

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (404, "no such file$"),
            (403, r"the credentials of this environment .* \(status 403\)"),
            (503, "the server returned status 503$"),
        ],
    )
    def test_a_server_that_refuses(self, web, status, message):
        web.files["/a.csv"], web.statuses = CSV, [status] * 20
        with pytest.raises(UsageError, match=f"^{web.url}/a.csv: {message}"):
            read_table(f"{web.url}/a.csv")
        assert len(web.requests) <= 6

    def test_no_server(self, web):
        url = f"{web.url}/a.csv"
        host = url.split("/")[2]
        web.close()
        message = f"{url}: can't be reached: '{host}' refused the connection"
        with pytest.raises(UsageError, match=f"^{message}$"):
            read_table(url)

    def test_no_host(self, web):
        message = "can't be reached: the host 'nowhere.invalid' was not found$"
        with pytest.raises(UsageError, match=message):
            read_table("https://nowhere.invalid/a.csv")

    def test_a_server_that_is_silent_is_given_up(self, web, monkeypatch):
        monkeypatch.setattr("dlcli.tables.remote_files._READ_SECONDS", 0.1)
        monkeypatch.setattr("dlcli.tables.remote_files._WAITS", ())
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.csv"
            with pytest.raises(UsageError, match="can't be reached: '.*' did not respond in time"):
                read_table(url)

    def test_a_glob_is_refused(self, web):
        with pytest.raises(UsageError, match="patterns don't work on web servers; list each"):
            read_table(f"{web.url}/*.csv")

    def test_a_web_page_is_no_table(self, web):
        web.files["/a.csv"] = b"<!DOCTYPE html><html>Log in</html>"
        with pytest.raises(DataError, match="is a web page"):
            read_table(f"{web.url}/a.csv")


class TestBadUrls:
    @pytest.mark.parametrize("name", ["absent/a.csv", "a.csv"])
    def test_what_is_not_there(self, bucket, name):
        url = f"{bucket.url}{name}" if "/" in name else f"{bucket.url}/{name}"
        with pytest.raises(UsageError, match=f"^{url}: no such "):
            read_table(url)

    def test_an_absent_bucket_of_a_glob(self, bucket):
        with pytest.raises(UsageError, match=r"matches no file; s3://absent is empty or does"):
            read_table("s3://absent/*.csv")

    def test_credentials_that_are_refused(self, bucket):
        url = bucket.put("a.csv", CSV)
        bucket.server.fail = lambda *_: "403 Forbidden"
        with pytest.raises(
            UsageError, match=r"a.csv: the credentials of this environment .*ACCESS_DENIED"
        ):
            read_table(url)

    def test_a_server_that_fails_twice(self, bucket):
        url, failures = bucket.put("a.csv", CSV), ["503 Slow Down"] * 2
        bucket.server.fail = lambda *_: failures.pop() if failures else None
        assert column(url, "x") == ["1", "3"]
        assert not failures

    def test_no_server(self, bucket, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(UsageError, match="^s3://b/a.csv: can't be reached: Could not connect"):
            read_table("s3://b/a.csv")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "Could not create a OAuth2 access token to",
                "this environment has no credentials for it",
            ),
            ("google::cloud::Status(PERMISSION_DENIED: x", "the credentials of this environment"),
            ("see https://h/a?sig=s3cr3t " + "x" * 999, r"can't be .*: see \.\.\. x+\.\.\.$"),
        ],
    )
    def test_what_libraries_state_only_in_words(self, text, message):
        found = str(failure(Url("gs://b/a"), OSError(text)))
        assert re.match(f"gs://b/a: {message}", found)
        assert "s3cr3t" not in found

    def test_an_unknown_scheme(self):
        pytest.importorskip("fsspec")
        with pytest.raises(UsageError, match="^foo://b/a.csv: unknown scheme foo://; expected "):
            read_table("foo://b/a.csv")

    @pytest.mark.parametrize("package", ["fsspec", "aiohttp"])
    def test_a_missing_extra(self, monkeypatch, package):
        for name in [name for name in sys.modules if name.startswith("fsspec.impl")]:
            monkeypatch.delitem(sys.modules, name)
        if "fsspec" in sys.modules:
            registry = sys.modules["fsspec.registry"]
            monkeypatch.setattr(registry, "_registry", {})
            monkeypatch.setattr(registry, "registry", {})
        for name in [*sys.modules]:
            if name.partition(".")[0] == package:
                monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UsageError, match=r"^https://h/a.csv: .* pip install '.\[remote\]'"):
            read_table("https://h/a.csv")

    @pytest.mark.parametrize(
        "query", ["X-Amz-Signature=s3cr3t", "pass=s3cr3t", "t=eyJhbGciOiJub25lIn0.s3cr3t.e30"]
    )
    def test_a_secret_is_not_repeated(self, query):
        with pytest.raises(UsageError) as caught:
            read_table(f"https://h/a.csv?{query}")
        assert "https://h/a.csv: has a secret after '?'" in str(caught.value)
        assert "s3cr3t" not in str(caught.value)

    def test_a_damaged_file_is_bad_data(self, bucket):
        content = parquet({"x": np.random.default_rng(0).random(300_000)})
        url = bucket.put("a.parquet", content[:-20])
        with pytest.raises(DataError, match="is not a complete Parquet file"):
            read_table(url)


class TestVersions:
    def test_the_version_changes_with_the_content(self, bucket, memory, web):
        web.files["/a.csv"] = CSV
        for url, change in (
            (bucket.put("a.csv", CSV), lambda: bucket.put("a.csv", CSV + b"5,6\n")),
            (memory("a.csv", CSV), lambda: memory("a.csv", CSV + b"5,6\n")),
            (f"{web.url}/a.csv", lambda: web.files.update({"/a.csv": CSV + b"5,6\n"})),
        ):
            [found] = expand(url)
            before = file_version(found)
            assert before == file_version(found)
            assert before[0] == len(CSV)
            change()
            assert file_version(found) != before

    def test_a_server_that_states_neither_etag_nor_time(self, web):
        web.files["/a.csv"], web.etag = CSV, False
        [found] = expand(f"{web.url}/a.csv")
        assert file_version(found) == (len(CSV), None)

    @pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
    def test_a_file_that_changes_while_it_is_read(self, bucket, name):
        old, new = np.random.default_rng(0).random((2, 300_000))
        contents = [
            LONG_CSV.replace(b"1", digit) if name == "a.csv" else parquet({"x": numbers})
            for digit, numbers in ((b"1", old), (b"2", new))
        ]
        url = bucket.put(name, contents[0])
        gets = []

        def change(method, path):
            if method == "GET" and path.endswith(name):
                gets.append(path)
                if len(gets) == 2:
                    bucket.put(name, contents[1])

        bucket.server.after = change
        with pytest.raises(DataError, match=f"^{url}: changed while it was read"):
            read_table(url)


@pytest.mark.slow
def test_nothing_is_imported_without_a_url(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV)
    read = "from dlcli.tables.table_files import read_table; read_table('a.csv')"
    command = [sys.executable, "-c", f"import sys; {read}; print(*sys.modules)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "dlcli.tables" in modules
    assert {"pyarrow.fs", "fsspec", "aiohttp"}.isdisjoint(modules)
