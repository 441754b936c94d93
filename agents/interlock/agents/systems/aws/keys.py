"""Customer-managed encryption keys, found by alias; it knows nothing of what they encrypt."""

from __future__ import annotations

__all__ = ["EncryptionKey", "alias_of", "find_key"]

from dataclasses import dataclass

from interlock.agents.systems.aws.resource import Observed, Properties, tagged
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.values import Environment


def alias_of(environment: Environment) -> str:
    """Return the alias of an environment's database key: `alias/rds-key` for production, as in the specification."""
    prefix = "" if environment is Environment.PRODUCTION else f"{environment.prefix}-"
    return f"alias/{prefix}rds-key"


async def find_key(aws: Aws, key: str) -> Document | None:
    """Return the metadata of a key by id, ARN or alias, None when there is none (`DescribeKey`)."""
    answer = await aws.kms.find("describe_key", {"KeyId": key}, about=key, absent="NotFoundException")
    return answer["KeyMetadata"] if answer else None


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """A symmetric key with yearly rotation, under an alias."""

    aws: Aws
    alias: str
    tags: Properties
    address: str = "aws_kms_key.rds"
    permanent: frozenset[str] = frozenset()

    @property
    def desired(self) -> Properties:
        """What the key shall be."""
        return {"alias": self.alias, "rotation": "true", "state": "Enabled"} | {
            f"tags.{name}": value for name, value in self.tags.items()
        }

    async def observe(self) -> Observed | None:
        """Look at the key behind the alias."""
        key = await find_key(self.aws, self.alias)
        if key is None:
            return None
        about = {"KeyId": key["KeyId"]}
        rotation = await self.aws.kms.call("get_key_rotation_status", about, about=self.alias)
        tags = await self.aws.kms.listed("list_resource_tags", "Tags", about, about=self.alias)
        found = [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in tags]
        properties = {
            "alias": self.alias,
            "rotation": str(rotation["KeyRotationEnabled"]).lower(),
            "state": key["KeyState"],
        }
        return Observed(key["Arn"], properties | tagged(self.desired, found))

    async def create(self) -> None:
        """Create the key and point the alias at it; a key left over from an interrupted attempt is taken up."""
        key = (
            await self._orphan()
            or (
                await self.aws.kms.call(
                    "create_key", {"Description": self._description, "Tags": self._tags()}, about=self.alias
                )
            )["KeyMetadata"]["KeyId"]
        )
        await self.aws.kms.call("enable_key_rotation", {"KeyId": key}, about=self.alias)
        await self.aws.kms.call("create_alias", {"AliasName": self.alias, "TargetKeyId": key}, about=self.alias)

    async def update(self) -> None:
        """Enable the key and its rotation, and set its tags."""
        key = await find_key(self.aws, self.alias)
        if key is None:
            return await self.create()
        about = {"KeyId": key["KeyId"]}
        if key["KeyState"] != "Enabled":
            await self.aws.kms.call("enable_key", about, about=self.alias)
        await self.aws.kms.call("enable_key_rotation", about, about=self.alias)
        await self.aws.kms.call("tag_resource", about | {"Tags": self._tags()}, about=self.alias)
        return None

    @property
    def _description(self) -> str:
        return f"Encrypts databases at rest ({self.alias})"

    def _tags(self) -> list[Document]:
        return [{"TagKey": name, "TagValue": value} for name, value in self.tags.items()]

    async def _orphan(self) -> str | None:
        for listed in await self.aws.kms.listed("list_keys", "Keys", about=self.alias):
            key = (await self.aws.kms.call("describe_key", {"KeyId": listed["KeyId"]}, about=self.alias))["KeyMetadata"]
            if key.get("Description") == self._description and key["KeyState"] == "Enabled":
                return str(listed["KeyId"])
        return None
