"""Revisions are immutable and verified; pages are updated in place with a version each."""

from __future__ import annotations

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from interlock.agents.systems.aws import ArtifactStore, Aws, AwsSettings
from interlock.protocol.errors import PermanentError, TransientError, UsageError

FILES = {"main.tf": b'resource "aws_db_instance" "production" {}\n', "plans/test.json": b"{}"}


@pytest.fixture
async def store(aws: Aws) -> ArtifactStore:
    opened = ArtifactStore(aws, bucket="interlock-artifacts")
    await opened.ensure()
    return opened


async def put(aws: Aws, key: str, content: bytes) -> None:
    await aws.s3.call("put_object", {"Bucket": "interlock-artifacts", "Key": key, "Body": content}, about=key)


async def test_a_revision_is_read_back_as_it_was_stored(store: ArtifactStore) -> None:
    revision = await store.put("PROJ-140", FILES)

    assert revision.address == f"s3://interlock-artifacts/PROJ-140/{revision.digest.removeprefix('sha256:')}/"
    assert await store.read(revision.address) == FILES


async def test_the_same_files_are_the_same_revision(store: ArtifactStore) -> None:
    assert await store.put("PROJ-140", FILES) == await store.put("PROJ-140", dict(reversed(FILES.items())))


async def test_moving_bytes_from_one_file_to_another_is_another_revision(store: ArtifactStore) -> None:
    first = await store.put("PROJ-140", {"a": b"bc", "d": b""})
    second = await store.put("PROJ-140", {"a": b"b", "d": b"c"})

    assert first.digest != second.digest


async def test_an_object_with_other_bytes_is_never_overwritten(aws: Aws, store: ArtifactStore) -> None:
    revision = await store.put("PROJ-140", FILES)
    key = revision.address.removeprefix("s3://interlock-artifacts/") + "main.tf"
    await put(aws, key, b"tampered")

    with pytest.raises(PermanentError, match="immutable"):
        await store.put("PROJ-140", FILES)


@pytest.mark.parametrize("name", ["main.tf", "more.tf"])
async def test_tampered_content_is_not_read(aws: Aws, store: ArtifactStore, name: str) -> None:
    revision = await store.put("PROJ-140", FILES)
    await put(aws, revision.address.removeprefix("s3://interlock-artifacts/") + name, b"tampered")

    with pytest.raises(PermanentError, match="does not have the digest"):
        await store.read(revision.address)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/org/repo/tree/main/terraform",
        "s3://interlock-artifacts/PROJ-140/",
        f"s3://elsewhere/PROJ-140/{'0' * 64}/",
    ],
)
async def test_an_address_that_is_no_revision_of_this_store_is_refused(store: ArtifactStore, address: str) -> None:
    with pytest.raises(PermanentError, match="no revision"):
        await store.read(address)


@pytest.mark.parametrize("name", ["../main.tf", "/etc/passwd", "a//b", "a/../b", ""])
async def test_names_that_leave_the_revision_are_refused(store: ArtifactStore, name: str) -> None:
    with pytest.raises(UsageError, match="plain relative names"):
        await store.put("PROJ-140", {name: b""})


async def test_a_page_is_updated_in_place_with_a_version_each(store: ArtifactStore) -> None:
    first = await store.publish("docs/PROJ-140.html", b"one", content_type="text/html")
    again = await store.publish("docs/PROJ-140.html", b"one", content_type="text/html")
    second = await store.publish("docs/PROJ-140.html", b"two", content_type="text/html")

    assert first == again == ("s3://interlock-artifacts/docs/PROJ-140.html", 1)
    assert second == ("s3://interlock-artifacts/docs/PROJ-140.html", 2)


async def test_the_bucket_is_private_encrypted_and_versioned(aws: Aws, store: ArtifactStore) -> None:
    await store.ensure()
    bucket = {"Bucket": "interlock-artifacts"}

    blocked = await aws.s3.call("get_public_access_block", bucket, about="bucket")
    encrypted = await aws.s3.call("get_bucket_encryption", bucket, about="bucket")
    versioned = await aws.s3.call("get_bucket_versioning", bucket, about="bucket")

    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    rule = encrypted["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert versioned["Status"] == "Enabled"


async def test_agents_that_start_together_agree_on_one_bucket(aws: Aws) -> None:
    together = [ArtifactStore(aws, bucket="shared-artifacts") for _ in range(4)]

    async with anyio.create_task_group() as tasks:
        for store in together:
            tasks.start_soon(store.ensure)

    revision = await together[0].put("PROJ-140", FILES)
    assert await together[-1].read(revision.address) == FILES


async def test_a_file_whose_answer_was_lost_may_be_stored_again(store: ArtifactStore, aws: Aws) -> None:
    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", broken)
    async with TestServer(application) as server:
        account = AwsSettings(
            region=aws.region,
            endpoint_url=str(server.make_url("/")),
            access_key_id="sandbox",
            secret_access_key=SecretStr("sandbox"),
        )
        async with Aws(account) as unreliable:
            with pytest.raises(TransientError, match="store it again"):
                await ArtifactStore(unreliable, bucket="interlock-artifacts").put("PROJ-140", FILES)
    revision = await store.put("PROJ-140", FILES)
    assert await store.read(revision.address) == FILES
