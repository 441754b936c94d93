"""A picture of a deployed database and what surrounds it, for people; it asks no system anything.

Pillow's built-in font has Latin letters only, so every word on the picture is Latin.
"""

from __future__ import annotations

__all__ = ["architecture_png"]

from interlock.agents.systems.canvas import Canvas, Style
from interlock.protocol.infrastructure import DatabaseSpec

_WIDTH, _HEIGHT = 1400, 900
_MUTED = "#5d6b82"
_FLOW = "#475569"

_PLAIN = Style("#94a3b8", "#f8fafc")
_NETWORK = Style("#7c5cd6", "#faf8ff")
_SUBNET = Style("#0f9d8a", "#f1fbf9")
_DATABASE = Style("#3557d6", "#dfe7ff")
_STANDBY = Style("#7d8fc9", "#eef1fb")
_GUARD = Style("#c2410c")
_WATCH = Style("#be2467")
_COMPUTE = Style("#2563eb")


def architecture_png(spec: DatabaseSpec, *, endpoint: str, title: str) -> bytes:
    """Return a PNG of 1400 x 900 pixels: the application, the VPC with its zones, and what guards and watches them.

    Characters outside Latin-1 are shown as `?`. The same arguments give the same picture.
    """
    canvas = Canvas(_WIDTH, _HEIGHT)
    canvas.text((50, 34), title, size=32, bold=True, within=1300)
    subtitle = f"{spec.engine.label} {spec.engine_version}  ·  {spec.environment.value}  ·  {spec.region}"
    canvas.text((50, 82), subtitle, size=19, colour=_MUTED)
    _network(canvas, spec, endpoint)
    _clients(canvas, spec)
    _watchers(canvas, spec)
    _facts(canvas, spec)
    return canvas.png()


def _network(canvas: Canvas, spec: DatabaseSpec, endpoint: str) -> None:
    tier = "Public" if spec.publicly_accessible else "Private"
    canvas.box((400, 140, 1000, 740), _NETWORK, radius=16)
    canvas.text((424, 156), f"VPC  {spec.vpc}", size=19, bold=True, colour=_NETWORK.line, within=550)
    for left, zone in ((430, "a"), (720, "b")):
        canvas.box((left, 200, left + 250, 590), _SUBNET)
        canvas.text((left + 18, 214), f"{tier} subnet", size=17, bold=True, colour=_SUBNET.line)
        canvas.text((left + 18, 239), f"{spec.region}{zone}", size=15, colour=_MUTED)
    canvas.box((448, 280, 952, 536), _GUARD, dashed=True)
    rule = f"{spec.security_group}: port {spec.port}"
    canvas.text((448, 552), rule, size=14, colour=_GUARD.line, within=214)
    canvas.text((738, 552), "from inside the VPC only", size=14, colour=_GUARD.line)

    canvas.cylinder((510, 310, 600, 430), _DATABASE)
    canvas.text((555, 446), "RDS primary", size=18, bold=True, align="middle")
    canvas.text((555, 473), spec.identifier, size=15, colour=_MUTED, align="middle", within=190)
    canvas.text((555, 497), spec.instance_class, size=15, colour=_MUTED, align="middle")
    if spec.multi_az:
        canvas.cylinder((800, 310, 890, 430), _STANDBY)
        canvas.text((845, 446), "RDS standby", size=18, bold=True, align="middle")
        canvas.text((845, 473), "automatic failover", size=15, colour=_MUTED, align="middle")
        canvas.arrow([(606, 370), (794, 370)], colour=_DATABASE.line)
        canvas.box((646, 357, 754, 383), Style(_DATABASE.line), radius=13)
        canvas.text((700, 363), "synchronous", size=14, colour=_DATABASE.line, align="middle")
    else:
        canvas.text((845, 370), "no standby (single-AZ)", size=15, colour=_MUTED, align="middle")

    canvas.box((430, 620, 970, 712), _PLAIN)
    canvas.text((452, 634), "Endpoint", size=15, bold=True)
    canvas.text((452, 658), endpoint, size=17, colour=_DATABASE.line, within=496)
    canvas.text((452, 684), f"database {spec.database_name}", size=15, colour=_MUTED, within=496)


def _clients(canvas: Canvas, spec: DatabaseSpec) -> None:
    encrypted = "TLS required" if spec.encryption_in_transit else "TLS not required"
    canvas.card((50, 310, 300, 430), _COMPUTE, title="Kubernetes", lines=("application pods", "connection pool"))
    canvas.arrow([(304, 370), (504, 370)], colour=_FLOW)
    canvas.text((350, 344), f"{spec.port}", size=15, colour=_FLOW, align="middle")
    canvas.text((350, 378), encrypted, size=13, colour=_FLOW, align="middle", within=94)
    kept = (spec.secret_name, "password never in state")
    canvas.card((50, 560, 300, 680), _GUARD, title="Secrets Manager", lines=kept)
    canvas.arrow([(175, 434), (175, 554)], colour=_FLOW)
    canvas.text((188, 484), "reads credentials", size=15, colour=_FLOW)


def _watchers(canvas: Canvas, spec: DatabaseSpec) -> None:
    at_rest = "storage and secret encrypted" if spec.encryption_at_rest else "secret encrypted, storage not"
    canvas.card((1090, 160, 1350, 260), _GUARD, title="KMS", lines=(at_rest, "yearly key rotation"))
    canvas.arrow([(1086, 210), (1004, 210)], colour=_FLOW)
    canvas.card(
        (1090, 310, 1350, 454),
        _WATCH,
        title="CloudWatch",
        lines=("alarm: CPU", "alarm: free storage", "alarm: connections", "logs exported"),
    )
    canvas.arrow([(1004, 370), (1084, 370)], colour=_FLOW)
    canvas.text((1044, 344), "metrics", size=15, colour=_FLOW, align="middle")
    canvas.card((1090, 510, 1350, 590), _WATCH, title="SNS", lines=(f"{spec.identifier}-alerts",))
    canvas.arrow([(1220, 458), (1220, 504)], colour=_FLOW)
    canvas.card((1090, 646, 1350, 726), _WATCH, title="Slack", lines=("operators' channel",))
    canvas.arrow([(1220, 594), (1220, 640)], colour=_FLOW)


def _facts(canvas: Canvas, spec: DatabaseSpec) -> None:
    facts = (
        ("Storage", f"{spec.storage_gb} GB {spec.storage_type.value}"),
        ("Multi-AZ", "yes" if spec.multi_az else "no"),
        ("Backups", f"daily, {spec.backup_retention_days} days" if spec.backup_retention_days else "none"),
        ("At rest", "encrypted" if spec.encryption_at_rest else "not encrypted"),
        ("In transit", "encrypted" if spec.encryption_in_transit else "not required"),
        ("Public access", "yes" if spec.publicly_accessible else "no"),
    )
    canvas.box((50, 780, 1350, 860), _PLAIN)
    for number, (name, value) in enumerate(facts):
        left = 76 + number * 214
        canvas.text((left, 797), name, size=14, colour=_MUTED)
        canvas.text((left, 821), value, size=18, bold=True, within=195)
