"""What AWS's describe calls answer about a database and what belongs to it, for reports; never a secret's value."""

from __future__ import annotations

__all__ = ["JsonDocument", "raw_resources"]

import json
from collections.abc import Mapping

from interlock.agents.systems.aws.database import describe_raw
from interlock.agents.systems.aws.secrets import SecretStore
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.infrastructure import DatabaseSpec

JsonDocument = Document
"""A JSON object: strings for times."""


async def raw_resources(aws: Aws, spec: DatabaseSpec) -> dict[str, JsonDocument]:
    """Return the answers by the name of their call; a resource that does not exist is left out.

    Raises TransientError when AWS cannot be read.
    """
    found: dict[str, JsonDocument] = {}
    instance = await describe_raw(aws, spec.identifier)
    if instance:
        found["DescribeDBInstances"] = _plain(instance)
        for attached in instance.get("DBParameterGroups", []):
            group = attached["DBParameterGroupName"]
            request = {"DBParameterGroupName": group, "Source": "user"}
            parameters = await aws.rds.listed("describe_db_parameters", "Parameters", request, about=group)
            found["DescribeDBParameters"] = _plain({"DBParameterGroupName": group, "Parameters": parameters})
    alarms = await aws.cloudwatch.listed(
        "describe_alarms", "MetricAlarms", {"AlarmNamePrefix": f"{spec.identifier}-"}, about=spec.identifier
    )
    if alarms:
        found["DescribeAlarms"] = _plain({"MetricAlarms": alarms})
    secret = await SecretStore(aws).describe(spec.secret_name)
    if secret:
        found["DescribeSecret"] = _plain(secret)
    return found


def _plain(answer: Mapping[str, object]) -> JsonDocument:
    kept = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    plain: JsonDocument = json.loads(json.dumps(kept, default=str, sort_keys=True))
    return plain
