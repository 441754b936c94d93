"""What is told about the work, to whom, and how; it reads no source of settings and opens nothing."""

from __future__ import annotations

__all__ = ["HealthSettings", "LoggingSettings", "TelemetrySettings"]

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_LONGEST_PORT = 65_535


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _traces(value: str) -> str:
    if not value.strip():
        raise ValueError("off, otlp, an http(s) URL or a file's path is required")
    return value


def _metrics(value: str) -> str:
    if value in {"off", "prometheus", "otlp"} or value.startswith(("http://", "https://")):
        return value
    raise ValueError("off, prometheus, otlp or an http(s) URL is required")


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _LONGEST_PORT:
        raise ValueError("host:port is required, e.g. 127.0.0.1:8080; port 0 takes a free one")
    return value


class TelemetrySettings(_Section):
    """Spans and measurements; needs the extra `telemetry` when one of them is on."""

    traces: Annotated[str, AfterValidator(_traces)] = "off"
    """`off`; `otlp` for the endpoint in OTEL_EXPORTER_OTLP_ENDPOINT; an OTLP/HTTP endpoint's URL; or a file's path."""
    metrics: Annotated[str, AfterValidator(_metrics)] = "off"
    """`off`; `prometheus`, at `/metrics` of the health endpoint; `otlp`; or an OTLP/HTTP endpoint's URL."""
    sample_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Which part of the conversations is traced, each as a whole: every agent decides alike."""
    spans: Literal["late", "sdk"] = "late"
    """`late`: spans of our own, which OpenTelemetry's SDK hears of when they end; `sdk`: its own, at three times the
    price."""
    resource: dict[str, str] = Field(default_factory=dict[str, str])
    """Attributes of everything that is told, e.g. `deployment.environment.name`."""


class HealthSettings(_Section):
    """Where it can be asked whether this process is well."""

    listen: Annotated[str | None, AfterValidator(_address)] = None
    """`host:port` for `/live`, `/ready` and `/metrics`; port 0 takes a free one and logs it. None: nowhere."""


class LoggingSettings(_Section):
    """How log lines are written; they go to standard error."""

    format: Literal["human", "json"] = "human"
    """A line for people, with the end of the conversation's id; or a JSON object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Of Interlock's and everybody else's loggers; clients that would log secrets stay above `debug`."""
