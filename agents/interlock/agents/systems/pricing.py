"""What a database costs per month, itemised from a dated table of list prices; it calls nobody."""

from __future__ import annotations

__all__ = ["Estimate", "PriceTable", "RegionPrices", "ZonePrice", "estimate"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from interlock.agents.systems.iops import provisioned_iops
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.change import CostLine
from interlock.protocol.values import Currency

_ALARMS = 3
_CENT = Decimal("0.01")


class _Priced(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)


class ZonePrice(_Priced):
    """One price for a database in one zone, and for one with a standby in another."""

    single_az: Decimal
    multi_az: Decimal


class RegionPrices(_Priced):
    """List prices of one region."""

    instance_hour: Mapping[str, Mapping[str, ZonePrice]]
    """By engine and instance class."""
    storage_gb_month: Mapping[str, ZonePrice]
    """By storage type."""
    iops_month: Mapping[str, ZonePrice]
    """Per provisioned operation per second, by storage type."""
    key_month: Decimal
    secret_month: Decimal
    alarm_month: Decimal


class PriceTable(_Priced):
    """A dated table of prices, kept by hand."""

    status: Literal["indicative"]
    """No bill has been compared with it: an estimate is no offer."""
    drawn_up: date
    currency: Currency
    source: str
    hours_per_month: int
    regions: Mapping[str, RegionPrices]

    @classmethod
    def bundled(cls) -> PriceTable:
        """Return the table that comes with the package."""
        content = resources.files("interlock.agents.systems").joinpath("prices.json").read_bytes()
        return cls.model_validate_json(content)

    @property
    def citation(self) -> str:
        """Where the prices come from, for the reader of an estimate."""
        return f"{self.source}; table drawn up on {self.drawn_up.isoformat()}, {self.status}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The monthly cost of one database."""

    monthly: Decimal
    """The sum of the lines; what is unpriced is not in it."""
    currency: Currency
    line_items: tuple[CostLine, ...]
    unpriced: tuple[str, ...]
    complete: bool
    """Whether everything but use has a price: only then can the sum be compared with a budget."""
    source: str


def estimate(spec: DatabaseSpec, *, prices: PriceTable | None = None) -> Estimate:
    """Price every part of a specification, for a month of 730 hours, rounded to cents line by line.

    What the table does not know is listed as unpriced, never counted as 0. The bundled table is used by default.
    """
    table = prices or PriceTable.bundled()
    region = table.regions.get(spec.region)
    usage = tuple(_usage_dependent(spec))
    unpriced = list(usage)
    lines: list[CostLine] = []
    if region is None:
        parts: Iterator[_Part] = iter(())
        unpriced.append(f"everything else: the table has no prices for {spec.region}")
    else:
        parts = _parts(spec, region, table.hours_per_month)
    for part in parts:
        if part.unit_price is None:
            unpriced.append(part.item)
        else:
            lines.append(part.line(part.unit_price))
    return Estimate(
        monthly=sum((line.monthly for line in lines), Decimal("0.00")),
        currency=table.currency,
        line_items=tuple(lines),
        unpriced=tuple(unpriced),
        complete=len(unpriced) == len(usage),
        source=table.citation,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    item: str
    quantity: int
    unit: str
    unit_price: Decimal | None

    def line(self, unit_price: Decimal) -> CostLine:
        monthly = (unit_price * self.quantity).quantize(_CENT, ROUND_HALF_UP)
        return CostLine(
            item=self.item, quantity=Decimal(self.quantity), unit=self.unit, unit_price=unit_price, monthly=monthly
        )


def _parts(spec: DatabaseSpec, region: RegionPrices, hours: int) -> Iterator[_Part]:
    zones = "Multi-AZ" if spec.multi_az else "Single-AZ"
    instance = region.instance_hour.get(spec.engine, {}).get(spec.instance_class)
    title = f"{spec.instance_class} {spec.engine.label}, {zones}"
    yield _Part(title, hours, "instance-hour", _of(instance, spec))
    storage = region.storage_gb_month.get(spec.storage_type)
    yield _Part(f"{spec.storage_type} storage, {zones}", spec.storage_gb, "GB-month", _of(storage, spec))
    iops = provisioned_iops(spec)
    if iops is not None:
        operations = region.iops_month.get(spec.storage_type)
        yield _Part(f"{spec.storage_type} IOPS, {zones}", iops, "IOPS-month", _of(operations, spec))
    if spec.encryption_at_rest:
        yield _Part("KMS key", 1, "key-month", region.key_month)
    yield _Part("Secrets Manager secret", 1, "secret-month", region.secret_month)
    yield _Part("CloudWatch alarms", _ALARMS, "alarm-month", region.alarm_month)


def _of(price: ZonePrice | None, spec: DatabaseSpec) -> Decimal | None:
    if price is None:
        return None
    return price.multi_az if spec.multi_az else price.single_az


def _usage_dependent(spec: DatabaseSpec) -> Iterator[str]:
    """Name what follows from use, which nobody knows beforehand."""
    yield "data transfer out of the region and between zones"
    yield f"backups and snapshots beyond the free {spec.storage_gb} GB"
    yield "exported logs, requests to KMS and Secrets Manager, dashboards beyond the free three"
    if spec.instance_class.startswith(("db.t3.", "db.t4g.")):
        yield "CPU credits beyond the class's baseline"
