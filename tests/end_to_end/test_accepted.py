"""The specification's own ticket, PROJ-140: from To Do to an accepted, deployed and handed-over database."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from end_to_end.desk import Desk
from end_to_end.outside import Outside
from interlock.agents.demo.record import Record
from interlock.agents.demo.stage import MemoryStage
from interlock.agents.report.folder import write
from interlock.agents.report.report import Broker, Run
from interlock.agents.systems.aws.secrets import SecretStore
from interlock.bus.clock import SystemClock
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.handoff import RESOURCES_SCOPE

ISSUE = "PROJ-140"
DATABASE = "prod-db-postgresql"
SECRETS = ("prod/database/credentials", "test/database/credentials")
MESSAGES = Path(__file__).parent.parent / "fixtures" / "messages"


@dataclass(frozen=True)
class Accepted:
    """What the change left behind, in memory and in files."""

    record: Record
    files: Path
    """Stores, log and report."""

    def sent(self, kind: str) -> list[Envelope[Any]]:
        return [envelope for envelope in self.record.envelopes if envelope.type == kind]


@contextmanager
def logged(file: Path) -> Generator[None]:
    """Keep everything that the product and its libraries log at their most verbose."""
    handler = logging.FileHandler(file, encoding="utf-8")
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="module")
async def accepted(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Accepted:
    """The change played once; each test looks at another side of what it left behind."""
    files = tmp_path_factory.mktemp("accepted")
    started = SystemClock().now()
    with logged(files / "team.log"):
        async with MemoryStage(files, settings=outside.settings) as stage, Desk.at(stage) as desk:
            record = await desk.accept(ISSUE)
            run = Run(
                started_at=started,
                ended_at=SystemClock().now(),
                processes=dict(stage.processes),
                broker=Broker(kind=stage.kind, version=await stage.console.broker_version()),
                engine="aws-direct",
                sandbox=True,
            )
    write(files / "report", record.report(run), envelopes=record.envelopes, diagram=record.diagram)
    return Accepted(record, files)


async def test_the_ticket_is_in_progress_once_and_then_done_once(accepted: Accepted, outside: Outside) -> None:
    issue = await outside.issue(ISSUE)

    assert await outside.statuses(ISSUE) == ["In Progress", "Done"]
    assert issue["fields"]["status"]["name"] == "Done"


async def test_the_ticket_is_told_in_one_comment_with_the_specifications_sections(
    accepted: Accepted, outside: Outside
) -> None:
    (comment,) = await outside.comments(ISSUE)

    headings = [line.partition(" ")[2] for line in comment.splitlines() if line.startswith(("h2.", "h3."))]
    assert headings == [
        "Infrastructure Deployed (/)",
        "Resources Created",
        "Security Configuration",
        "State",
        "Monitoring",
        "Connection Info",
        "Next Steps",
        "Estimated Monthly Cost",
        "Documentation",
    ]
    assert "prod/database/credentials" in comment
    assert f"{DATABASE}-high-connections" in comment


async def test_the_ticket_carries_a_diagram_that_opens_and_the_plans_output(
    accepted: Accepted, outside: Outside
) -> None:
    files = await outside.attachments(ISSUE)

    assert set(files) == {"architecture-diagram.png", "terraform-output.txt"}
    with Image.open(io.BytesIO(files["architecture-diagram.png"])) as picture:
        assert picture.format == "PNG"
        picture.load()
        assert min(picture.size) > 200
    output = files["terraform-output.txt"].decode()
    assert f"plan {accepted.sent('plan_ready')[-1].payload.plan_digest}" in output
    assert "engineVersion = 14" in output


async def test_aws_describes_every_property_that_the_ticket_asks_for(accepted: Accepted, outside: Outside) -> None:
    database = await outside.instance(DATABASE)

    assert database is not None
    assert {
        "Engine": "postgres",
        "DBInstanceClass": "db.t3.medium",
        "AllocatedStorage": 100,
        "StorageType": "gp3",
        "MultiAZ": True,
        "BackupRetentionPeriod": 7,
        "StorageEncrypted": True,
        "PubliclyAccessible": False,
        "DBInstanceStatus": "available",
    }.items() <= database.items()
    assert database["EngineVersion"].split(".")[0] == "14"
    assert database["KmsKeyId"].startswith("arn:aws:kms:ap-northeast-2:")


async def test_the_database_lies_in_private_subnets_of_its_vpc_behind_its_security_group(
    accepted: Accepted, outside: Outside
) -> None:
    database = await outside.instance(DATABASE)
    assert database is not None
    ec2 = outside.aws.ec2

    vpcs = await ec2.call("describe_vpcs", {"VpcIds": [database["DBSubnetGroup"]["VpcId"]]}, about="vpc")
    names = {tag["Value"] for tag in vpcs["Vpcs"][0]["Tags"] if tag["Key"] == "Name"}
    assert names == {"prod-vpc"}
    (attached,) = database["VpcSecurityGroups"]
    groups = await ec2.call("describe_security_groups", {"GroupIds": [attached["VpcSecurityGroupId"]]}, about="db-sg")
    (group,) = groups["SecurityGroups"]
    assert group["GroupName"] == "db-sg"
    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["IpPermissions"]] == [(5432, 5432)]
    assert "0.0.0.0/0" not in str(group["IpPermissions"])
    gateways = await ec2.call("describe_internet_gateways", about="internet gateways")
    assert gateways["InternetGateways"] == []


async def test_connections_without_tls_are_refused_by_the_parameter_group(accepted: Accepted, outside: Outside) -> None:
    database = await outside.instance(DATABASE)
    assert database is not None

    (group,) = database["DBParameterGroups"]
    request = {"DBParameterGroupName": group["DBParameterGroupName"]}
    parameters = await outside.aws.rds.listed("describe_db_parameters", "Parameters", request, about=DATABASE)
    assert {p["ParameterName"]: p.get("ParameterValue") for p in parameters}["rds.force_ssl"] == "1"


@pytest.mark.parametrize(
    ("name", "metric", "comparison", "least", "most"),
    [
        ("high-cpu", "CPUUtilization", "GreaterThanThreshold", 80, 80),
        ("low-storage", "FreeStorageSpace", "LessThanThreshold", 10 * 2**30, 10 * 2**30),
        ("high-connections", "DatabaseConnections", "GreaterThanThreshold", 1, 404),
    ],
)
async def test_each_alarm_watches_this_database_and_can_be_reached(
    accepted: Accepted, outside: Outside, name: str, metric: str, comparison: str, least: float, most: float
) -> None:
    request = {"AlarmNames": [f"{DATABASE}-{name}"]}
    (alarm,) = await outside.aws.cloudwatch.listed("describe_alarms", "MetricAlarms", request, about=name)

    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/RDS", metric)
    assert alarm["ComparisonOperator"] == comparison
    assert alarm["Dimensions"] == [{"Name": "DBInstanceIdentifier", "Value": DATABASE}]
    assert least <= alarm["Threshold"] <= most
    assert alarm["AlarmActions"][0].endswith(":prod-database-alerts")


async def test_the_secret_holds_what_a_client_needs_to_connect(accepted: Accepted, outside: Outside) -> None:
    answer = await outside.aws.secretsmanager.call("get_secret_value", {"SecretId": SECRETS[0]}, about=SECRETS[0])
    database = await outside.instance(DATABASE)
    assert database is not None

    secret = json.loads(answer["SecretString"])
    assert set(secret) == {"username", "password", "engine", "dbname", "host", "port"}
    assert (secret["host"], secret["port"]) == (database["Endpoint"]["Address"], database["Endpoint"]["Port"])
    assert secret["dbname"] == "app_db"


def disguises(secret: str) -> set[bytes]:
    """Return the secret as it is, URL-encoded, and the part of its base64 that every surrounding shares."""
    raw = secret.encode()
    shifted = (base64.b64encode(b"x" * pad + raw)[4 if pad else 0 : -4] for pad in range(3))
    return {raw, quote(secret, safe="").encode(), base64.urlsafe_b64encode(raw).rstrip(b"=")[:-2], *shifted}


async def test_no_password_is_anywhere_but_in_secrets_manager(accepted: Accepted, outside: Outside) -> None:
    said = b"\n".join(encode(envelope) for envelope in accepted.record.envelopes)
    places = {str(path): path.read_bytes() for path in accepted.files.rglob("*") if path.is_file()}
    places["messages"] = said
    places["jira"] = json.dumps(await outside.issue(ISSUE)).encode()
    places["chat"] = json.dumps(await outside.chat("")).encode()
    places |= {f"attachment {name}": content for name, content in (await outside.attachments(ISSUE)).items()}
    assert any(path.endswith("devops-agent.sqlite") for path in places)
    assert any(path.endswith("report.html") for path in places)

    for name in SECRETS:
        credentials = await SecretStore(outside.aws).read(name)
        assert credentials is not None
        for form in disguises(credentials.password.get_secret_value()):
            assert len(form) > 16
            assert [place for place, content in places.items() if form in content] == []


@pytest.mark.parametrize("kind", ["infrastructure_ready", "deployment_environment_ready", "security_review_request"])
async def test_a_handoff_is_sent_once_with_exactly_the_specifications_keys(accepted: Accepted, kind: str) -> None:
    example = json.loads((MESSAGES / f"{kind}.json").read_text())
    sent = [json.loads(encode(envelope)) for envelope in accepted.sent(kind)]
    sent = [message for message in sent if message["payload"].get("scope", RESOURCES_SCOPE) == RESOURCES_SCOPE]

    (message,) = sent
    assert (message["from"], message["to"]) == (example["from"], example["to"])
    assert shape(message["payload"]) == shape(example["payload"])


def shape(value: Any) -> Any:
    """Return the member names of nested objects."""
    return {name: shape(member) for name, member in value.items()} if isinstance(value, dict) else None


async def test_the_success_is_announced_once_to_the_deployments_channel(accepted: Accepted, outside: Outside) -> None:
    (message,) = await outside.chat(ISSUE)

    assert message["channel"] == "deployments"
    assert message["mentions"] == []


async def test_every_person_and_policy_that_opened_a_gate_is_on_record(accepted: Accepted) -> None:
    gates = [(row.subject, row.environment, row.approver, row.state) for row in accepted.record.approvals]

    assert gates == [
        ("budget", "production", "budget-owner", "used"),
        ("plan", "test", "policy:non-production", "used"),
        ("plan", "production", "operator", "used"),
    ]


async def test_production_is_touched_only_after_the_rehearsal_was_verified_and_a_person_agreed(
    accepted: Accepted,
) -> None:
    entered = [row.entry.details["state"] for row in accepted.record.audit if row.entry.action == "entered"]

    milestones = ["planned", "in_review", "approved_test", "applied_test", "verified_test", "approved", "applied"]
    assert [state for state in entered if state in milestones] == milestones
    assert entered[-2:] == ["accepted", "done"]
