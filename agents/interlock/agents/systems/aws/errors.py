"""Where botocore's errors become the product's own; it knows operations and ids, never what a request contained."""

from __future__ import annotations

__all__ = ["AwsRefusedError", "aws_errors"]

from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError, UsageError

_THROTTLED = frozenset(
    {"RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException"}
)
# Refused now, because another change of the same resource is still under way.
_BUSY = frozenset({"ConditionalRequestConflict", "InvalidDBInstanceState", "OperationAborted"})


class AwsRefusedError(PermanentError):
    """Raised when AWS understood a request and refused it; nothing was changed."""

    def __init__(self, operation: str, about: str, code: str, message: str) -> None:
        self.operation, self.about, self.code = operation, about, code
        super().__init__(f"AWS refused {operation} for {about!r}: {code}: {message}")


@contextmanager
def aws_errors(operation: str, *, about: str, changes: bool) -> Generator[None, None, None]:
    """Translate every error of botocore inside the block.

    `operation` and `about` (the id of the resource) stand in the message; `changes` says whether the operation has
    an effect, so that a lost answer is an unknown outcome.

    Raises TransientError when nothing happened and it may work later, AwsRefusedError when AWS refused,
    UnknownOutcomeError when an effect may have happened, UsageError when the request or the credentials are unusable.
    """
    try:
        yield
    except ClientError as error:
        raise _answered(error, operation, about, changes=changes) from error
    except ParamValidationError:
        # Its text and its cause repeat the values of parameters, which may be secret.
        raise UsageError(f"{operation} for {about!r} has parameters that AWS does not know; fix the request") from None
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise UsageError(f"{operation} for {about!r} needs AWS credentials; configure them") from error
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        raise TransientError(f"{operation} for {about!r} was not sent: no connection to AWS; try again") from error
    except (HTTPClientError, ResponseParserError) as error:
        raise _unanswered(operation, about, "the answer was lost or unreadable", changes=changes) from error
    except BotoCoreError as error:
        raise PermanentError(f"{operation} for {about!r} failed in the AWS client: {type(error).__name__}") from error


def _answered(
    error: ClientError, operation: str, about: str, *, changes: bool
) -> AwsRefusedError | TransientError | UnknownOutcomeError:
    code: str = error.response.get("Error", {}).get("Code", "Unknown")
    message: str = error.response.get("Error", {}).get("Message", "")
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLED or status == 429:
        return TransientError(f"AWS throttles {operation} for {about!r} ({code}); try again later")
    if code in _BUSY:
        return TransientError(f"{about!r} is busy with another change ({code} on {operation}); try again later")
    if status >= 500:
        return _unanswered(operation, about, f"HTTP {status} {code}", changes=changes)
    return AwsRefusedError(operation, about, code, message)


def _unanswered(operation: str, about: str, why: str, *, changes: bool) -> TransientError | UnknownOutcomeError:
    if changes:
        return UnknownOutcomeError(f"{operation} for {about!r} may or may not have happened ({why}); reconcile first")
    return TransientError(f"{operation} for {about!r} could not be read ({why}); try again")
