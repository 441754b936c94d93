"""The connection to one AWS account and region; it knows services, not what is done with them."""

from __future__ import annotations

__all__ = ["Aws", "AwsSettings"]

import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Self, cast

import aioboto3
from botocore.config import Config
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from interlock.agents.systems.aws.service import AwsClient, Service
from interlock.protocol.errors import UsageError

_CHATTY = ("aiobotocore", "botocore")
"""Loggers that write whole requests and answers at DEBUG, passwords among them: kept at INFO, whoever asks for more."""

_SERVICES = ("cloudwatch", "ec2", "iam", "kms", "rds", "s3", "secretsmanager", "sns", "sts")


class AwsSettings(BaseModel):
    """Which account and region to speak to. Without keys, the standard credential chain of AWS is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    endpoint_url: str | None = None
    """For an emulator or a private endpoint; None is AWS itself."""
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    connect_timeout: float = Field(default=5.0, gt=0)
    """Seconds."""
    read_timeout: float = Field(default=30.0, gt=0)
    """Seconds."""


class Aws:
    """Open clients for every service that the agents use; an async context manager.

    A request is sent once: the client library repeats nothing in secret, because a repeated create is a second effect.
    """

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._services: dict[str, Service] = {}

    def __repr__(self) -> str:
        state = "open" if self._services else "closed"
        return f"Aws(region={self.region!r}, endpoint_url={self._settings.endpoint_url!r}, {state})"

    async def __aenter__(self) -> Self:
        for name in _CHATTY:
            logger = logging.getLogger(name)
            logger.setLevel(max(logging.INFO, logger.level))
        secret = self._settings.secret_access_key
        session: Any = aioboto3.Session(
            aws_access_key_id=self._settings.access_key_id,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            region_name=self._settings.region,
        )
        config = Config(
            connect_timeout=self._settings.connect_timeout,
            read_timeout=self._settings.read_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            s3={"addressing_style": "path"} if self._settings.endpoint_url else None,
        )
        async with AsyncExitStack() as stack:
            for name in _SERVICES:
                opening = session.client(name, endpoint_url=self._settings.endpoint_url, config=config)
                client = await stack.enter_async_context(cast("AbstractAsyncContextManager[AwsClient]", opening))
                self._services[name] = Service(name, client)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._services.clear()
        await self._stack.aclose()

    @property
    def region(self) -> str:
        """The region that every client speaks to."""
        return self._settings.region

    @property
    def cloudwatch(self) -> Service:
        """Alarms and dashboards."""
        return self._service("cloudwatch")

    @property
    def ec2(self) -> Service:
        """Networks."""
        return self._service("ec2")

    @property
    def iam(self) -> Service:
        """Roles and policies."""
        return self._service("iam")

    @property
    def kms(self) -> Service:
        """Encryption keys."""
        return self._service("kms")

    @property
    def rds(self) -> Service:
        """Databases."""
        return self._service("rds")

    @property
    def s3(self) -> Service:
        """Objects."""
        return self._service("s3")

    @property
    def secretsmanager(self) -> Service:
        """Secrets."""
        return self._service("secretsmanager")

    @property
    def sns(self) -> Service:
        """Notification topics."""
        return self._service("sns")

    @property
    def sts(self) -> Service:
        """Who is calling."""
        return self._service("sts")

    def _service(self, name: str) -> Service:
        try:
            return self._services[name]
        except KeyError as error:
            raise UsageError(f"the connection to AWS is not open: use {name} inside `async with Aws(...)`") from error
