"""Amazon Web Services: the only package that reaches them; it knows no agent."""

from interlock.agents.systems.aws.alarms import max_connections
from interlock.agents.systems.aws.artifacts import ArtifactStore, Revision
from interlock.agents.systems.aws.database import DatabaseInstance, describe_database
from interlock.agents.systems.aws.engine import AwsDirectEngine
from interlock.agents.systems.aws.errors import AwsRefusedError, aws_errors
from interlock.agents.systems.aws.inspection import inspect
from interlock.agents.systems.aws.monitoring import AlertReceipts, DatabaseMonitoring, MonitoringSetup, Subscription
from interlock.agents.systems.aws.secrets import DatabaseCredentials, SecretStore
from interlock.agents.systems.aws.session import Aws, AwsSettings

__all__ = [
    "AlertReceipts",
    "ArtifactStore",
    "Aws",
    "AwsDirectEngine",
    "AwsRefusedError",
    "AwsSettings",
    "DatabaseCredentials",
    "DatabaseInstance",
    "DatabaseMonitoring",
    "MonitoringSetup",
    "Revision",
    "SecretStore",
    "Subscription",
    "aws_errors",
    "describe_database",
    "inspect",
    "max_connections",
]
