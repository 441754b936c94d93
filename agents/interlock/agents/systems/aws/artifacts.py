"""Immutable revisions and pages updated in place, in one S3 bucket; it knows nothing of their content."""

from __future__ import annotations

__all__ = ["ArtifactStore", "Revision"]

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from interlock.agents.systems.aws.errors import AwsRefusedError
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError, UsageError

_ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9.-]{3,63})/(?P<prefix>[A-Za-z0-9._/-]+)/(?P<digest>[0-9a-f]{64})/")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,3}")


@dataclass(frozen=True, slots=True)
class Revision:
    """A set of files that can never become another one."""

    digest: str
    """`sha256:<hex>` over names and contents of all files."""
    address: str
    """`s3://<bucket>/<prefix>/<hex>/`."""


class ArtifactStore:
    """Keeps files in one private, encrypted, versioned bucket."""

    def __init__(self, aws: Aws, *, bucket: str) -> None:
        self._aws = aws
        self._bucket = bucket

    def __repr__(self) -> str:
        return f"ArtifactStore(bucket={self._bucket!r})"

    async def ensure(self) -> None:
        """Create the bucket unless it is there, and make it private, encrypted and versioned. Safe to repeat.

        Raises AwsRefusedError when the name belongs to somebody else.
        """
        bucket: Document = {"Bucket": self._bucket}
        if await self._aws.s3.find("head_bucket", bucket, about=self._bucket, absent="404") is None:
            placed = {"LocationConstraint": self._aws.region}
            # us-east-1 is the one region that may not be named (Amazon S3, `CreateBucket`).
            where = {} if self._aws.region == "us-east-1" else {"CreateBucketConfiguration": placed}
            try:
                await self._aws.s3.call("create_bucket", bucket | where, about=self._bucket)
            except AwsRefusedError as error:
                # Another agent of ours starts at the same time, and was quicker.
                if error.code != "BucketAlreadyOwnedByYou":
                    raise
        private = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        encrypted = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
        settings: tuple[tuple[str, str, object], ...] = (
            ("put_public_access_block", "PublicAccessBlockConfiguration", private),
            ("put_bucket_encryption", "ServerSideEncryptionConfiguration", encrypted),
            ("put_bucket_versioning", "VersioningConfiguration", {"Status": "Enabled"}),
        )
        for operation, member, value in settings:
            await self._aws.s3.call(operation, bucket | {member: value}, about=self._bucket)

    async def put(self, prefix: str, files: Mapping[str, bytes]) -> Revision:
        """Store the files under the digest of their content; the same files give the same revision.

        Raises PermanentError when an object of that name holds other bytes, UsageError for names that are not safe.
        """
        if not files or not all(_NAME.fullmatch(name) for name in (prefix, *files)):
            raise UsageError(f"revision {prefix!r} needs files with plain relative names, not {sorted(files)}")
        digest = _digest(files)
        for name, content in sorted(files.items()):
            await self._put_once(f"{prefix}/{digest}/{name}", content)
        return Revision(f"sha256:{digest}", f"s3://{self._bucket}/{prefix}/{digest}/")

    async def read(self, address: str) -> Mapping[str, bytes]:
        """Return the files at a revision's address, having computed its digest anew.

        Raises PermanentError when the address is not this store's, or the content is not what the address says.
        """
        parts = _ADDRESS.fullmatch(address)
        if parts is None or parts["bucket"] != self._bucket:
            raise PermanentError(
                f"{address!r} is no revision in bucket {self._bucket!r}; ask for its immutable address"
            )
        start = f"{parts['prefix']}/{parts['digest']}/"
        files: dict[str, bytes] = {}
        for key in await self._keys(start):
            _, files[key.removeprefix(start)] = await self._get(key)
        if _digest(files) != parts["digest"]:
            raise PermanentError(f"the content at {address} does not have the digest in its address; do not use it")
        return files

    async def publish(self, key: str, content: bytes, *, content_type: str) -> tuple[str, int]:
        """Store a page that is updated in place; return its address and how many versions of it there are.

        Publishing what is already there changes nothing.
        """
        if not _NAME.fullmatch(key):
            raise UsageError(f"a page needs a plain relative name, not {key!r}")
        current = await self._content(key)
        if current != content:
            request = {"Bucket": self._bucket, "Key": key, "Body": content, "ContentType": content_type}
            await self._aws.s3.call("put_object", request, about=key)
        return f"s3://{self._bucket}/{key}", await self._versions(key)

    async def _put_once(self, key: str, content: bytes) -> None:
        request = {"Bucket": self._bucket, "Key": key, "Body": content, "IfNoneMatch": "*"}
        try:
            await self._aws.s3.call("put_object", request, about=key)
        except UnknownOutcomeError as error:
            raise TransientError(f"s3://{self._bucket}/{key} may be stored already, so store it again") from error
        except AwsRefusedError as error:
            if error.code != "PreconditionFailed":
                raise
            if await self._content(key) != content:
                raise PermanentError(
                    f"s3://{self._bucket}/{key} exists with other bytes; a revision is immutable"
                ) from error

    async def _content(self, key: str) -> bytes | None:
        try:
            return (await self._get(key))[1]
        except AwsRefusedError as error:
            if error.code == "NoSuchKey":
                return None
            raise

    async def _get(self, key: str) -> tuple[Document, bytes]:
        return await self._aws.s3.body("get_object", {"Bucket": self._bucket, "Key": key}, about=key)

    async def _keys(self, prefix: str) -> list[str]:
        keys: list[str] = []
        request: Document = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            answer = await self._aws.s3.call("list_objects_v2", request, about=prefix)
            keys += [found["Key"] for found in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return keys
            request["ContinuationToken"] = answer["NextContinuationToken"]

    async def _versions(self, key: str) -> int:
        answer = await self._aws.s3.call("list_object_versions", {"Bucket": self._bucket, "Prefix": key}, about=key)
        return sum(version["Key"] == key for version in answer.get("Versions", []))


def _digest(files: Mapping[str, bytes]) -> str:
    """Hash names and contents, each with its length, so that no two sets of files share a form."""
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        for part in (name.encode(), content):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
