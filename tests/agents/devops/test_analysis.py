"""Tickets in, specifications or questions out."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.devops.analysis import Analysed, NeedsInput, Unsupported, analyse, lines_of
from interlock.agents.systems.tickets import load_ticket
from interlock.protocol.infrastructure import Budget, DatabaseEngine, StorageType, Timeline
from interlock.protocol.values import Environment
from specimens import PROJ_140

TICKETS = Path(__file__).parents[2] / "fixtures" / "tickets"
SPECIFIED = PROJ_140


def analysed(name: str, **answers: str) -> Analysed | NeedsInput | Unsupported:
    ticket = load_ticket(TICKETS / f"{name}.json")
    assert ticket.key
    return analyse(ticket.key, ticket.summary, ticket.description, ticket.labels, answers=answers)


def answers_of(name: str) -> dict[str, str]:
    answers: dict[str, str] = json.loads((TICKETS / f"{name}.answers.json").read_text())
    return answers


def complete(name: str, **answers: str) -> Analysed:
    result = analysed(name, **answers)
    assert isinstance(result, Analysed), result
    return result


def with_line(line: str, *, instead_of: str = "") -> Analysed | NeedsInput | Unsupported:
    """Analyse the specification's own ticket with one line replaced, or added under Requirements."""
    description = str(load_ticket(TICKETS / "proj-140.json").description)
    old = instead_of or "## Requirements"
    assert old in description
    changed = description.replace(old, line if instead_of else f"{old}\n{line}")
    return analyse("PROJ-140", "Database", changed, ("production",), answers={})


def questions(result: Analysed | NeedsInput | Unsupported) -> dict[str, tuple[str, tuple[str, ...]]]:
    assert isinstance(result, NeedsInput), result
    return {missing.field: (missing.cause, missing.found) for missing in result.missing}


def test_the_ticket_of_the_specification_is_understood_completely() -> None:
    assert complete("proj-140") == Analysed(
        issue_key="PROJ-140",
        spec=SPECIFIED,
        environment=Environment.PRODUCTION,
        budget=Budget(monthly=Decimal(150)),
        timeline=Timeline(development_hours=4, testing_hours=2, deployment_hours=1),
    )


def test_the_packaged_demo_is_the_same_ticket() -> None:
    packaged = Path(__file__).parents[3] / "agents" / "interlock" / "agents" / "demo" / "proj-140.json"
    assert packaged.read_bytes() == (TICKETS / "proj-140.json").read_bytes()


def test_the_document_format_says_the_same_as_the_text() -> None:
    assert complete("english-adf").spec == SPECIFIED
    assert complete("english-adf").timeline == complete("proj-140").timeline


def test_english_markdown_is_understood() -> None:
    result = complete("english-markdown")

    assert (result.spec.engine_version, result.spec.instance_class) == ("15.4", "db.t4g.large")
    assert (result.spec.identifier, result.spec.database_name) == ("staging-orders", "orders")
    assert (result.spec.vpc, result.spec.security_group) == ("staging-vpc", "orders-sg")
    assert result.environment is Environment.STAGING
    assert result.budget == Budget(monthly=Decimal(320))
    assert result.timeline == Timeline(development_hours=6, testing_hours=3, deployment_hours=1.5)


def test_korean_wiki_markup_is_understood() -> None:
    result = complete("korean-wiki")

    assert result.spec == SPECIFIED.model_copy(
        update={
            "engine_version": "16",
            "instance_class": "db.m5.xlarge",
            "storage_gb": 500,
            "backup_retention_days": 30,
            "security_group": "payment-sg",
        }
    )
    assert result.budget == Budget(monthly=Decimal(1200))
    assert result.timeline == Timeline(development_hours=8, testing_hours=4, deployment_hours=2)


def test_korean_markdown_is_understood() -> None:
    result = complete("korean-markdown")

    assert (result.spec.multi_az, result.spec.backup_retention_days, result.spec.storage_gb) == (False, 3, 50)
    assert result.spec.identifier == "dev-db-postgresql"
    assert result.budget == Budget(monthly=Decimal(200_000), currency="KRW")
    assert result.timeline == Timeline(development_hours=2, testing_hours=0.5)


def test_tables_and_numbered_lists_of_wiki_markup_are_understood() -> None:
    description = (
        "h2. 요구사항\n||항목||값||\n|데이터베이스|PostgreSQL 14|\n|인스턴스 유형|db.t3.medium|\n|스토리지|100GB (gp3)|"
        "\n|다중 AZ|예|\n|백업|매일, 7일 보관|\n|저장 시 암호화|예|\n|전송 중 암호화|예|\n"
        "h2. 환경\n# 프로덕션\n# 리전: ap-northeast-2\n# VPC: prod-vpc\n"
        "h2. 보안\n# 퍼블릭 액세스: 없음\n# 보안 그룹: db-sg"
    )

    result = analyse("PROJ-1", "DB", description, (), answers={})

    assert isinstance(result, Analysed), result
    assert result.spec == SPECIFIED


def test_what_is_missing_is_asked_for_in_the_order_of_the_specification() -> None:
    asked = questions(analysed("missing-facts"))

    assert list(asked) == [
        "engineVersion", "instanceClass", "storageType", "multiAz", "backupRetentionDays", "encryptionAtRest",
        "encryptionInTransit", "publiclyAccessible", "environment", "vpc", "securityGroup",
    ]  # fmt: skip
    assert asked.pop("backupRetentionDays") == ("invalid", ("Daily",))
    assert {cause for cause, _ in asked.values()} == {"missing"}


@pytest.mark.parametrize("name", ["missing-facts", "contradiction"])
def test_answers_complete_a_ticket(name: str) -> None:
    assert complete(name, **answers_of(name)).issue_key == load_ticket(TICKETS / f"{name}.json").key


def test_contradictions_are_asked_for_with_what_was_found() -> None:
    assert questions(analysed("contradiction")) == {
        "storageGb": ("contradiction", ("100GB (GP3)", "200GB")),
        "multiAz": ("contradiction", ("Yes", "No")),
        "publiclyAccessible": ("contradiction", ("Private subnets only", "Publicly accessible: yes")),
        "environment": ("contradiction", ("Production", "label staging")),
    }


def test_an_answer_wins_over_the_text() -> None:
    assert complete("proj-140", backupRetentionDays="14").spec.backup_retention_days == 14


def test_an_answer_that_cannot_be_read_is_asked_for_again() -> None:
    assert questions(analysed("proj-140", multiAz="maybe")) == {"multiAz": ("invalid", ("maybe",))}


def test_names_that_break_out_never_reach_a_specification() -> None:
    asked = questions(analysed("injection-names"))

    assert set(asked) == {"engine", "engineVersion", "region", "vpc", "securityGroup", "identifier", "databaseName"}
    assert {cause for cause, _ in asked.values()} == {"invalid"}
    assert asked["vpc"][1] == ('${file("/etc/passwd")}',)
    assert asked["identifier"][1] == ("prod-db -<!channel>",)


@pytest.mark.parametrize(
    "value",
    [
        "${x}",
        'a"b',
        "a\nb",
        "a: b",
        "a`b`",
        "<!channel>",
        "a OR b",
        "a;b",
        "$(x)",
        "--help",
        "a\u200bb",
        "аbc",
        "%{if}",
    ],
)
@pytest.mark.parametrize("field", ["vpc", "securityGroup", "identifier", "databaseName", "region", "instanceClass"])
def test_an_answer_that_breaks_out_is_refused(field: str, value: str) -> None:
    assert questions(analysed("proj-140", **{field: value}))[field][0] == "invalid"


def test_a_line_feed_hidden_in_a_document_node_does_not_cut_a_name() -> None:
    document = {"type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "VPC: a\nb"}]}]}

    assert [line.text for line in lines_of(document)] == ["VPC: a␤b"]
    assert questions(analyse("PROJ-1", "database", document, (), answers={}))["vpc"] == ("invalid", ("a␤b",))


def test_what_was_found_is_quoted_short_and_visible() -> None:
    _, found = questions(with_line("- VPC: " + "\u202e\x1b[31m" + "x!" * 500, instead_of="- VPC: prod-vpc"))["vpc"]

    assert len(found[0]) == 120
    assert found[0].isprintable()


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [("unsupported-oracle", "unsupported_engine", "Oracle is not supported; choose PostgreSQL, MySQL or MariaDB")],
)
def test_another_engine_is_declined(name: str, code: str, reason: str) -> None:
    assert analysed(name) == Unsupported(code, reason)


@pytest.mark.parametrize(
    ("summary", "description", "code"),
    [
        ("Table for sessions", "- Database: DynamoDB", "unsupported_engine"),
        ("Cache", "- Engine: Redis 7", "unsupported_engine"),
        ("DB", "- Database: SQL Server 2019", "unsupported_engine"),
        ("DB", "- Database: Aurora PostgreSQL 15", "unsupported_engine"),
        ("오라클 데이터베이스", "", "unsupported_engine"),
        ("DB", "- Database: PostgreSQL 14\n- Cloud: GCP", "unsupported_cloud"),
        ("DB", "- Database: Azure Database for PostgreSQL", "unsupported_cloud"),
        ("Set up the CI pipeline", "- Build\n- Test", "not_a_database"),
    ],
)
def test_what_lies_outside_is_declined(summary: str, description: str, code: str) -> None:
    result = analyse("PROJ-1", summary, description, (), answers={})

    assert isinstance(result, Unsupported)
    assert result.code == code


def test_public_access_and_missing_backups_are_understood_and_left_to_security() -> None:
    assert complete("public-production").spec.publicly_accessible is True
    assert complete("no-backups-production").spec.backup_retention_days == 0


def test_other_engines_are_understood() -> None:
    mysql, mariadb = complete("mysql").spec, complete("mariadb")
    assert (mysql.engine, mysql.engine_version, mysql.identifier) == (DatabaseEngine.MYSQL, "8.0.35", "prod-db-mysql")
    assert (mysql.storage_gb, mysql.storage_type) == (250, StorageType.GP2)
    assert (mariadb.spec.engine, mariadb.spec.engine_version) == (DatabaseEngine.MARIADB, "10.11")
    assert mariadb.budget == Budget(monthly=Decimal(150))


def test_terabytes_are_counted_as_rds_counts_them() -> None:
    spec = complete("over-budget").spec
    assert (spec.storage_gb, spec.storage_type) == (4096, StorageType.IO2)


@pytest.mark.parametrize(
    ("line", "instead_of", "field"),
    [
        ("- Backup: not 7 days", "- Backup: Daily, 7 days retention", "backupRetentionDays"),
        ("- Backup: 1 month", "- Backup: Daily, 7 days retention", "backupRetentionDays"),
        ("- Storage: 100-200GB gp3", "- Storage: 100GB (GP3)", "storageGb"),
        ("- Storage: 100GB gp3 or so", "- Storage: 100GB (GP3)", "storageGb"),
        ("- Multi-AZ: later", "- Multi-AZ: Yes", "multiAz"),
        ("- Encryption: at rest only", "- Encryption: At rest and in transit", "encryptionInTransit"),
        ("- Region: Seoul", "- Region: ap-northeast-2", "region"),
        ("$100-150/month", "$150/month", "budget"),
        ("$1800/year", "$150/month", "budget"),
        ("150/month", "$150/month", "budget"),
    ],
)
def test_a_value_that_is_not_understood_completely_is_asked_for(line: str, instead_of: str, field: str) -> None:
    assert questions(with_line(line, instead_of=instead_of))[field][0] == "invalid"


@pytest.mark.parametrize(
    ("line", "instead_of", "field"),
    [
        ("- Database: PostgreSQL 14 or MySQL 8", "- Database: PostgreSQL 14", "engine"),
        ("- Backup: 7 days, 14 days", "- Backup: Daily, 7 days retention", "backupRetentionDays"),
        ("- Single-AZ", "", "multiAz"),
        ("- No backups", "", "backupRetentionDays"),
        ("- Staging", "- Region: ap-northeast-2", "environment"),
    ],
)
def test_two_values_are_a_contradiction(line: str, instead_of: str, field: str) -> None:
    cause, _ = questions(with_line(line, instead_of=instead_of))[field]
    assert cause in {"contradiction", "invalid"}


@pytest.mark.parametrize(
    ("line", "field"),
    [("- Storage: 10GB gp3", "storageGb"), ("- Storage: 50GB io1", "storageGb"), ("- Storage: 900TB gp3", "storageGb")],
)
def test_a_value_outside_the_limits_of_rds_is_asked_for(line: str, field: str) -> None:
    assert questions(with_line(line, instead_of="- Storage: 100GB (GP3)"))[field][0] == "invalid"


@pytest.mark.parametrize(
    ("line", "budget"),
    [
        ("$150/month", Budget(monthly=Decimal(150))),
        ("월 $150", Budget(monthly=Decimal(150))),
        ("USD 150 per month", Budget(monthly=Decimal(150))),
        ("150 USD/월", Budget(monthly=Decimal(150))),
        ("Budget: about $1,250.50 per month", Budget(monthly=Decimal("1250.50"))),
        ("₩200,000/월", Budget(monthly=Decimal(200_000), currency="KRW")),
        ("월 20000원", Budget(monthly=Decimal(20_000), currency="KRW")),
        ("€90 monthly", Budget(monthly=Decimal(90), currency="EUR")),
        ("not known yet", None),
    ],
)
def test_a_budget_is_read_in_its_currency(line: str, budget: Budget | None) -> None:
    result = with_line(line, instead_of="$150/month")
    assert isinstance(result, Analysed), result
    assert result.budget == budget


def test_what_is_struck_out_commented_out_or_code_is_not_asked_for() -> None:
    extra = "~~- Multi-AZ: No~~\n<!-- - Storage: 1GB -->\n```\nVPC: other\n```\n{code}\nVPC: third\n{code}"
    assert isinstance(with_line(extra), Analysed)


@given(st.text(max_size=200), st.text(max_size=60))
def test_no_text_crashes_the_analysis(description: str, value: str) -> None:
    result = analyse(
        "PROJ-1", value, f"## Requirements\n- VPC: {value}\n{description}", (value,), answers={"vpc": value}
    )
    assert not isinstance(result, Analysed)


@given(st.recursive(st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_document_crashes_the_analysis(inner: object) -> None:
    lines_of({"type": "doc", "content": [{"type": "paragraph", "content": inner}, inner]})
