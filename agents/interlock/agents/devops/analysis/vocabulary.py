"""The words of tickets, English and Korean: which label, heading or statement is about what, and what to ask."""

from __future__ import annotations

__all__ = [
    "FALSE",
    "HEADINGS",
    "LABELS",
    "PHASES",
    "QUESTIONS",
    "STATEMENTS",
    "TRUE",
    "Topic",
    "environment_of",
    "normalised",
]

import re
from enum import StrEnum

from interlock.protocol.values import Environment


class Topic(StrEnum):
    """What a line of a ticket is about."""

    PROVIDER = "provider"
    ENGINE = "engine"
    VERSION = "version"
    INSTANCE = "instance"
    STORAGE = "storage"
    STORAGE_TYPE = "storage_type"
    MULTI_AZ = "multi_az"
    BACKUP = "backup"
    ENCRYPTION = "encryption"
    AT_REST = "at_rest"
    IN_TRANSIT = "in_transit"
    PUBLIC = "public"
    PRIVATE = "private"
    ENVIRONMENT = "environment"
    REGION = "region"
    VPC = "vpc"
    SECURITY_GROUP = "security_group"
    IDENTIFIER = "identifier"
    DATABASE_NAME = "database_name"
    BUDGET = "budget"
    TIMELINE = "timeline"


def normalised(text: str) -> str:
    """Return a label or statement in its comparable form: lower case, one space between words, no end mark."""
    return re.sub(r"[\s_/-]+", " ", text.casefold()).strip(" .:")


def _table(**phrases: str) -> dict[str, Topic]:
    return {normalised(phrase): Topic(topic) for topic, text in phrases.items() for phrase in text.split(",")}


LABELS = _table(
    provider="cloud,cloud provider,provider,platform,클라우드,플랫폼",
    engine="database,db,engine,database engine,db engine,데이터베이스,엔진,DB 엔진,데이터베이스 엔진",
    version="version,engine version,database version,버전,엔진 버전",
    instance="instance type,instance class,instance,instance size,인스턴스 타입,인스턴스 유형,인스턴스 클래스,인스턴스",
    storage="storage,allocated storage,storage size,disk,스토리지,저장 용량,저장소,용량,디스크",
    storage_type="storage type,volume type,스토리지 유형,스토리지 타입,볼륨 유형,볼륨 타입",
    multi_az="multi-az,multiaz,multi-az deployment,다중 AZ,다중AZ,멀티 AZ,다중 가용 영역,다중 가용영역,이중화",
    backup="backup,backups,backup retention,retention,automated backups,backup retention period,"
    "백업,백업 보관,보관 기간,백업 보관 기간,백업 보존 기간",
    encryption="encryption,암호화",
    at_rest="encryption at rest,at rest,storage encryption,저장 시 암호화,저장 데이터 암호화,저장 시",
    in_transit="encryption in transit,in transit,SSL/TLS,TLS,SSL,전송 중 암호화,전송 구간 암호화,전송 중",
    public="public access,publicly accessible,public accessibility,public,"
    "퍼블릭 액세스,퍼블릭 접근,공개 접근,외부 접근",
    private="private subnet,private subnets,subnet,subnets,프라이빗 서브넷,서브넷",
    environment="environment,env,target environment,환경",
    region="region,aws region,리전,AWS 리전",
    vpc="vpc,vpc name",
    security_group="security group,security groups,sg,보안 그룹,보안그룹",
    identifier="identifier,name,instance name,instance identifier,db identifier,식별자,이름,인스턴스 이름",
    database_name="database name,db name,데이터베이스 이름,데이터베이스명,DB 이름,DB명",
    budget="budget,monthly budget,cost,monthly cost,estimated cost,estimated monthly cost,total,"
    "예산,월 예산,비용,월 비용,예상 비용,예상 월 비용,합계",
)
"""What stands before a colon, normalised."""

HEADINGS = _table(
    environment="environment,target environment,환경,배포 환경",
    budget="estimated cost,cost,budget,estimated monthly cost,monthly budget,예상 비용,비용,예산,월 예산",
    timeline="timeline,schedule,plan,일정,타임라인,작업 일정",
)
"""Headings below which lines are read in their own way."""

STATEMENTS: dict[str, tuple[Topic, str]] = {
    normalised(phrase): (topic, value)
    for topic, value, phrases in (
        (Topic.PRIVATE, "only", "private subnet only,private subnets only,only private subnets,in private subnets"),
        (
            Topic.PRIVATE,
            "only",
            "프라이빗 서브넷만,프라이빗 서브넷만 사용,프라이빗 서브넷 전용,프라이빗 서브넷에만 배치",
        ),
        (Topic.PUBLIC, "no", "not publicly accessible,not public,외부 접근 불가,퍼블릭 액세스 금지,공개 접근 금지"),
        (Topic.PUBLIC, "yes", "publicly accessible,퍼블릭 액세스 허용,공개 접근 허용,외부 접근 허용"),
        (Topic.MULTI_AZ, "no", "single-az,single az,단일 AZ"),
        (Topic.AT_REST, "yes", "encrypted at rest"),
        (Topic.IN_TRANSIT, "yes", "encrypted in transit"),
    )
    for phrase in phrases.split(",")
}
"""Whole lines without a colon."""

PHASES = {
    normalised(phrase): phase
    for phase, phrases in (
        ("development_hours", "development,dev,implementation,개발,구현"),
        ("testing_hours", "testing,test,tests,테스트,검증"),
        ("deployment_hours", "production deployment,deployment,deploy,프로덕션 배포,운영 배포,배포"),
    )
    for phrase in phrases.split(",")
}
"""Labels of a timeline."""

_YES = "yes,y,true,on,enabled,enable,required,mandatory,예,네,사용,사용함,활성화,필수,필요,허용,적용,있음"
_NO = (
    "no,n,none,false,off,disabled,disable,denied,blocked,forbidden,"
    "아니오,아니요,미사용,사용 안 함,비활성화,없음,불필요,차단,금지"
)
TRUE = frozenset(map(normalised, _YES.split(",")))
FALSE = frozenset(map(normalised, _NO.split(",")))

_ENVIRONMENTS = {
    normalised(word): environment
    for environment, words in (
        (Environment.PRODUCTION, "production,prod,프로덕션,운영,상용"),
        (Environment.STAGING, "staging,stage,스테이징"),
        (Environment.TEST, "test,testing,테스트"),
        (Environment.DEVELOPMENT, "development,dev,개발"),
    )
    for word in words.split(",")
}


def environment_of(word: str) -> Environment | None:
    """Return the environment of this name; None for any other word."""
    name = normalised(word)
    return _ENVIRONMENTS.get(name) or _ENVIRONMENTS.get(name.removesuffix("environment").removesuffix("환경").strip())


QUESTIONS = {
    "engine": "Which database engine: PostgreSQL, MySQL or MariaDB?",
    "engineVersion": "Which version of the engine, e.g. 14 or 14.7?",
    "instanceClass": "Which instance class, e.g. db.t3.medium?",
    "storageGb": "How much storage, in GB (20 to 65536; io1 and io2 from 100)?",
    "storageType": "Which storage type: gp2, gp3, io1 or io2?",
    "multiAz": "Multi-AZ: yes or no?",
    "backupRetentionDays": "For how many days are backups kept (0 to 35; 0 means no backups)?",
    "encryptionAtRest": "Encryption at rest: yes or no?",
    "encryptionInTransit": "Encryption in transit (TLS required): yes or no?",
    "publiclyAccessible": "May it be reached from the internet: yes or no?",
    "environment": "Which environment: development, test, staging or production?",
    "region": "Which AWS region, e.g. ap-northeast-2?",
    "vpc": "Which VPC, by name (letters, digits and . _ / -)?",
    "securityGroup": "Which security group, by name (letters, digits and . _ / -)?",
    "identifier": "Which identifier (at most 63 lower-case letters, digits and single hyphens, a letter first)?",
    "databaseName": "Which database name (at most 63 letters, digits and underscores, a letter first)?",
    "budget": "What may it cost per month, with currency, e.g. 150 USD?",
}
"""What to ask for each field of the specification, by its name on the wire."""
