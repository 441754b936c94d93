"""Estimates are itemised to the cent, cite their source, and never count an unknown price as nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from interlock.agents.systems.pricing import PriceTable, estimate
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec, StorageType


def test_the_tickets_database_is_priced_line_by_line(spec: DatabaseSpec) -> None:
    priced = estimate(spec)

    assert [(line.item, line.quantity, line.monthly) for line in priced.line_items] == [
        ("db.t3.medium PostgreSQL, Multi-AZ", Decimal(730), Decimal("151.84")),
        ("gp3 storage, Multi-AZ", Decimal(100), Decimal("26.20")),
        ("KMS key", Decimal(1), Decimal("1.00")),
        ("Secrets Manager secret", Decimal(1), Decimal("0.40")),
        ("CloudWatch alarms", Decimal(3), Decimal("0.30")),
    ]
    assert (priced.monthly, priced.currency) == (Decimal("179.74"), "USD")


def test_one_zone_costs_half_of_two(spec: DatabaseSpec) -> None:
    one, two = estimate(spec.model_copy(update={"multi_az": False})), estimate(spec)

    assert one.line_items[0].monthly * 2 == two.line_items[0].monthly
    assert one.line_items[1].monthly * 2 == two.line_items[1].monthly


@pytest.mark.parametrize(
    ("change", "unpriced"),
    [
        ({"instance_class": "db.x2g.large"}, "db.x2g.large PostgreSQL, Multi-AZ"),
        ({"storage_type": StorageType.IO2}, "io2 storage, Multi-AZ"),
        ({"region": "eu-central-1"}, "everything else: the table has no prices for eu-central-1"),
    ],
)
def test_what_the_table_does_not_know_is_named_and_not_counted(
    spec: DatabaseSpec, change: dict[str, object], unpriced: str
) -> None:
    priced = estimate(spec.model_copy(update=change))

    assert unpriced in priced.unpriced
    assert all(line.monthly > 0 for line in priced.line_items)
    assert priced.monthly < estimate(spec).monthly


def test_provisioned_operations_are_a_line_of_their_own(spec: DatabaseSpec) -> None:
    priced = estimate(spec.model_copy(update={"storage_type": StorageType.IO1, "region": "us-east-1"}))

    assert ("io1 IOPS, Multi-AZ", Decimal(1000)) in [(line.item, line.quantity) for line in priced.line_items]


def test_what_depends_on_use_is_always_listed_as_unpriced(spec: DatabaseSpec) -> None:
    assert any("data transfer" in line for line in estimate(spec).unpriced)
    assert any("snapshots beyond the free 100 GB" in line for line in estimate(spec).unpriced)


def test_an_estimate_says_where_its_prices_come_from_and_that_they_are_indicative(spec: DatabaseSpec) -> None:
    source = estimate(spec).source

    assert "Amazon RDS pricing pages" in source
    assert "indicative" in source
    assert PriceTable.bundled().drawn_up.isoformat() in source


@pytest.mark.parametrize("region", ["ap-northeast-2", "us-east-1"])
@pytest.mark.parametrize("engine", list(DatabaseEngine))
def test_common_classes_have_a_price_that_grows_with_their_size(
    spec: DatabaseSpec, region: str, engine: DatabaseEngine
) -> None:
    sizes = ("micro", "small", "medium", "large", "xlarge", "2xlarge")
    wanted = [
        spec.model_copy(update={"region": region, "engine": engine, "instance_class": f"db.t4g.{size}"})
        for size in sizes
    ]

    sums = [estimate(one).monthly for one in wanted]

    assert sums == sorted(set(sums))
