"""Database credentials in AWS Secrets Manager; a password leaves this module only inside a `SecretStr`."""

from __future__ import annotations

__all__ = ["OWNER", "ConnectionSecret", "CredentialsSecret", "DatabaseCredentials", "SecretStore"]

import json
import secrets
import string
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from interlock.agents.systems.aws.database import describe_database
from interlock.agents.systems.aws.resource import Observed, Properties, pairs, tagged
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseSpec

_ABSENT = "ResourceNotFoundException"
_PASSWORD_LENGTH = 40
OWNER = "dbadmin"
"""The database user that owns the database; `admin` is reserved in PostgreSQL on Amazon RDS."""


class DatabaseCredentials(BaseModel):
    """What the secret holds, in the members that AWS's own rotation functions use."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    username: str
    password: SecretStr
    engine: str
    dbname: str
    host: str | None = None
    """None until the instance has told its endpoint."""
    port: int | None = None

    @classmethod
    def generate(cls, spec: DatabaseSpec) -> DatabaseCredentials:
        """Return credentials with a random password of letters and digits (about 238 bits)."""
        alphabet = string.ascii_letters + string.digits
        password = "".join(secrets.choice(alphabet) for _ in range(_PASSWORD_LENGTH))
        return cls(username=OWNER, password=SecretStr(password), engine=spec.engine, dbname=spec.database_name)

    def serialised(self) -> str:
        """Return the secret's JSON, with the password: give it to AWS only."""
        content = self.model_dump(exclude_none=True) | {"password": self.password.get_secret_value()}
        return json.dumps(content, sort_keys=True)


class SecretStore:
    """Reads and writes database credentials by the secret's name."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def describe(self, name: str) -> Document | None:
        """Return what AWS describes of a secret, without its value; None when it does not exist."""
        found = await self._aws.secretsmanager.find("describe_secret", {"SecretId": name}, about=name, absent=_ABSENT)
        return None if found is None or found.get("DeletedDate") else found

    async def read(self, name: str) -> DatabaseCredentials | None:
        """Return the current credentials, None when the secret does not exist or has no value yet.

        Raises PermanentError when the value is not a database's credentials.
        """
        answer = await self._aws.secretsmanager.find("get_secret_value", {"SecretId": name}, about=name, absent=_ABSENT)
        if answer is None:
            return None
        try:
            return DatabaseCredentials.model_validate_json(answer["SecretString"])
        except (KeyError, ValidationError):
            # The cause would repeat the value.
            raise PermanentError(f"secret {name!r} does not hold database credentials; repair its value") from None

    async def put_if_absent(self, name: str, credentials: DatabaseCredentials, *, tags: Properties) -> None:
        """Create the secret; one that has been created meanwhile keeps its value."""
        request = {
            "Name": name,
            "Description": f"Credentials of the {credentials.engine} database {credentials.dbname}",
            "SecretString": credentials.serialised(),
            "Tags": pairs(tags),
        }
        await self._aws.secretsmanager.find("create_secret", request, about=name, absent="ResourceExistsException")

    async def replace(self, name: str, credentials: DatabaseCredentials) -> None:
        """Store a new version of an existing secret."""
        request = {"SecretId": name, "SecretString": credentials.serialised()}
        await self._aws.secretsmanager.call("put_secret_value", request, about=name)

    async def policy(self, name: str) -> Document | None:
        """Return the secret's resource policy, None when it has none."""
        answer = await self._aws.secretsmanager.call("get_resource_policy", {"SecretId": name}, about=name)
        return json.loads(answer["ResourcePolicy"]) if answer.get("ResourcePolicy") else None


@dataclass(frozen=True, slots=True)
class CredentialsSecret:
    """The secret with a database's user and password, readable by one application role.

    It is encrypted under the account's own Secrets Manager key: a resource policy then suffices for the role to read it
    (AWS Secrets Manager User Guide, "Attach a permissions policy to a secret").
    """

    aws: Aws
    spec: DatabaseSpec
    reader: str
    """Name of the IAM role that the application runs under."""
    tags: Properties
    address: str = "aws_secretsmanager_secret.database"
    permanent: frozenset[str] = frozenset({"engine", "database"})

    @property
    def desired(self) -> Properties:
        """What the secret shall be; its value stays out of it."""
        return {
            "name": self.spec.secret_name,
            "engine": self.spec.engine.value,
            "database": self.spec.database_name,
            "username": OWNER,
            "readableBy": self.reader,
        } | {f"tags.{name}": value for name, value in self.tags.items()}

    async def observe(self) -> Observed | None:
        """Look at the secret, its policy and its tags."""
        store = SecretStore(self.aws)
        described = await store.describe(self.spec.secret_name)
        credentials = await store.read(self.spec.secret_name) if described else None
        if described is None or credentials is None:
            return None
        arn: str = described["ARN"]
        granted = await store.policy(self.spec.secret_name) == await self._policy(arn)
        properties = {
            "name": self.spec.secret_name,
            "engine": credentials.engine,
            "database": credentials.dbname,
            "username": credentials.username,
            "readableBy": self.reader if granted else "other",
        }
        return Observed(arn, properties | tagged(self.desired, described.get("Tags", [])))

    async def create(self) -> None:
        """Create the secret with a generated password, then grant the role."""
        store = SecretStore(self.aws)
        credentials = DatabaseCredentials.generate(self.spec)
        await store.put_if_absent(self.spec.secret_name, credentials, tags=self.tags)
        if await store.read(self.spec.secret_name) is None:
            await store.replace(self.spec.secret_name, credentials)
        await self._grant()

    async def update(self) -> None:
        """Set the tags and the policy; the password is kept."""
        request = {"SecretId": self.spec.secret_name, "Tags": pairs(self.tags)}
        await self.aws.secretsmanager.call("tag_resource", request, about=self.spec.secret_name)
        store = SecretStore(self.aws)
        credentials = await store.read(self.spec.secret_name)
        if credentials and credentials.username != OWNER:
            await store.replace(self.spec.secret_name, credentials.model_copy(update={"username": OWNER}))
        await self._grant()

    async def _grant(self) -> None:
        described = await SecretStore(self.aws).describe(self.spec.secret_name)
        if described is None:
            raise PermanentError(f"secret {self.spec.secret_name!r} was deleted meanwhile; make a new plan")
        policy = await self._policy(described["ARN"])
        request = {
            "SecretId": self.spec.secret_name,
            "ResourcePolicy": json.dumps(policy, sort_keys=True),
            "BlockPublicPolicy": True,
        }
        await self.aws.secretsmanager.call("put_resource_policy", request, about=self.spec.secret_name)

    async def _policy(self, secret_arn: str) -> Document:
        _, partition, _, _, account, *_ = secret_arn.split(":")
        statement = {
            "Sid": "ApplicationReads",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:role/{self.reader}"},
            "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            "Resource": secret_arn,
        }
        return {"Version": "2012-10-17", "Statement": [statement]}


@dataclass(frozen=True, slots=True)
class ConnectionSecret:
    """The version of the secret that also says where the database listens; exists once the instance does."""

    aws: Aws
    spec: DatabaseSpec
    instance_address: str
    address: str = "aws_secretsmanager_secret_version.connection"
    permanent: frozenset[str] = frozenset()

    @property
    def desired(self) -> Properties:
        """The endpoint is known only after the instance exists, so the plan names the instance instead."""
        return {"secret": self.spec.secret_name, "endpoint": self.instance_address}

    async def observe(self) -> Observed | None:
        """Compare the endpoint in the secret with the instance's own."""
        credentials = await SecretStore(self.aws).read(self.spec.secret_name)
        if credentials is None or credentials.host is None:
            return None
        instance = await describe_database(self.aws, self.spec.identifier)
        same = instance is not None and (credentials.host, credentials.port) == (instance.endpoint, instance.port)
        endpoint = self.instance_address if same else f"{credentials.host}:{credentials.port}"
        return Observed(self.spec.secret_name, {"secret": self.spec.secret_name, "endpoint": endpoint})

    async def create(self) -> None:
        """Store the instance's endpoint beside the credentials."""
        store = SecretStore(self.aws)
        credentials = await store.read(self.spec.secret_name)
        instance = await describe_database(self.aws, self.spec.identifier)
        if credentials is None or instance is None or instance.endpoint is None:
            raise PermanentError(
                f"{self.spec.identifier!r} has no credentials or no endpoint yet; apply the plan again"
            )
        connected = credentials.model_copy(update={"host": instance.endpoint, "port": instance.port})
        await store.replace(self.spec.secret_name, connected)

    async def update(self) -> None:
        """Store the endpoint anew."""
        await self.create()
