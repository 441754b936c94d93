"""Notification topics for alerts; it knows nothing of what raises them."""

from __future__ import annotations

__all__ = ["AlertTopic", "topic_arn", "topic_name"]

from dataclasses import dataclass

from interlock.agents.systems.aws.resource import Observed, Properties, pairs, tagged
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.values import Environment


def topic_name(environment: Environment) -> str:
    """Return the name of an environment's database alerts, e.g. `prod-database-alerts`."""
    return f"{environment.prefix}-database-alerts"


async def topic_arn(aws: Aws, name: str) -> str:
    """Return the ARN that a topic of this name has in the caller's account, whether it exists or not."""
    caller: str = (await aws.sts.call("get_caller_identity", about=name))["Arn"]
    _, partition, _, _, account, *_ = caller.split(":")
    return f"arn:{partition}:sns:{aws.region}:{account}:{name}"


@dataclass(frozen=True, slots=True)
class AlertTopic:
    """The topic that an environment's database alarms notify."""

    aws: Aws
    name: str
    tags: Properties
    address: str = "aws_sns_topic.alerts"
    permanent: frozenset[str] = frozenset()

    @property
    def desired(self) -> Properties:
        """What the topic shall be."""
        return {"name": self.name} | {f"tags.{name}": value for name, value in self.tags.items()}

    async def observe(self) -> Observed | None:
        """Look at the topic and its tags."""
        arn = await topic_arn(self.aws, self.name)
        found = await self.aws.sns.find("get_topic_attributes", {"TopicArn": arn}, about=self.name, absent="NotFound")
        if found is None:
            return None
        tags = await self.aws.sns.listed("list_tags_for_resource", "Tags", {"ResourceArn": arn}, about=self.name)
        return Observed(arn, {"name": self.name} | tagged(self.desired, tags))

    async def create(self) -> None:
        """Create the topic; AWS returns the existing one when it is there with the same tags (`CreateTopic`)."""
        await self.aws.sns.call("create_topic", {"Name": self.name, "Tags": pairs(self.tags)}, about=self.name)

    async def update(self) -> None:
        """Set the topic's tags."""
        arn = await topic_arn(self.aws, self.name)
        await self.aws.sns.call("tag_resource", {"ResourceArn": arn, "Tags": pairs(self.tags)}, about=self.name)
