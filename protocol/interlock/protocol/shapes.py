"""The shapes of names as regular expressions, each with its meaning in words: errors speak to people."""

from __future__ import annotations

__all__ = [
    "CURRENCY",
    "DATABASE_NAME",
    "DIGEST",
    "DURATION",
    "ENGINE_VERSION",
    "EXAMPLES",
    "HOST_NAME",
    "IDENTIFIER",
    "INSTANCE_CLASS",
    "ISSUE_KEY",
    "KUBERNETES_NAME",
    "KUBERNETES_QUANTITY",
    "LABEL",
    "LETTER",
    "MEANINGS",
    "MESSAGE_ID",
    "REGION",
    "TRACEPARENT",
]

from collections.abc import Mapping

LABEL = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
MESSAGE_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ISSUE_KEY = r"^[A-Z][A-Z0-9_]{1,19}-[1-9][0-9]{0,8}$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$"
HOST_NAME = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"
CURRENCY = r"^[A-Z]{3}$"
DURATION = r"^[1-9][0-9]{0,6}(ms|s|m|h)$"
TRACEPARENT = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
KUBERNETES_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
KUBERNETES_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
ENGINE_VERSION = r"^[0-9]{1,2}(\.[0-9]{1,2}){0,2}$"
INSTANCE_CLASS = r"^db\.[a-z0-9]{2,8}\.[a-z0-9]{4,12}$"
REGION = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"
LETTER = r"^([1-9][0-9]{0,17}|parked:[0-9a-f]{8,64})$"
DATABASE_NAME = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"

MEANINGS: Mapping[str, str] = {
    LABEL: "lower-case letters, digits and single hyphens, like backend-agent",
    MESSAGE_ID: "a UUID in canonical lower case, like 0190b6a0-7c1e-7d3a-9c52-3f0e6b1f2a10",
    ISSUE_KEY: "a Jira issue key, like PROJ-140",
    DIGEST: "sha256: and 64 lower-case hexadecimal digits",
    IDENTIFIER: "letters, digits and . _ / - only, at most 255, like prod/database/credentials",
    HOST_NAME: "a host name or IPv4 address without scheme or port, like db.example.com",
    CURRENCY: "a currency of ISO 4217, like USD",
    DURATION: "a number with ms, s, m or h, like 30s",
    TRACEPARENT: "a traceparent of W3C Trace Context",
    KUBERNETES_QUANTITY: "a Kubernetes quantity, like 2000m or 4Gi",
    KUBERNETES_NAME: "a Kubernetes name: lower-case letters, digits, - and ., like api-keys",
    ENGINE_VERSION: "a version, like 14 or 14.7",
    INSTANCE_CLASS: "an RDS instance class, like db.t3.medium",
    REGION: "an AWS region, like ap-northeast-2",
    LETTER: "a dead letter's number, or parked: and at least 8 hexadecimal digits, like 12 or parked:0f3ab91c",
    DATABASE_NAME: "a database name: a letter, then letters, digits and _, at most 63",
}
"""What must be there, by regular expression."""

EXAMPLES: Mapping[str, str] = {
    LABEL: "prod-db",
    MESSAGE_ID: "0190b6a0-7c1e-7d3a-9c52-3f0e6b1f2a10",
    ISSUE_KEY: "PROJ-140",
    DIGEST: "sha256:" + "0123456789abcdef" * 4,
    IDENTIFIER: "prod/database/credentials",
    HOST_NAME: "db.example.com",
    CURRENCY: "USD",
    DURATION: "30s",
    TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    KUBERNETES_QUANTITY: "4Gi",
    KUBERNETES_NAME: "api-keys",
    ENGINE_VERSION: "14.7",
    INSTANCE_CLASS: "db.t3.medium",
    REGION: "ap-northeast-2",
    LETTER: "12",
    DATABASE_NAME: "app_db",
}
"""One of each, for documents."""
