"""Errors as the services of AWS write them."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from doubles.front import Answer

from .calls import JSON, Call

# HTTP statuses that are not 400: EC2's "server" errors and what has to do with permissions.
STATUS = {
    "AccessDenied": 403,
    "AuthFailure": 401,
    "ExpiredToken": 403,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidClientTokenId": 403,
    "RequestLimitExceeded": 503,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}
THROTTLED = {"ec2": "RequestLimitExceeded", "ssm": "ThrottlingException", "pricing": "ThrottlingException"}


def refusal(call: Call, code: str, message: str, status: int | None = None) -> Answer:
    """An error in the protocol of the call's service."""
    status = status or STATUS.get(code, 400)
    if call.service in JSON:
        body = json.dumps({"__type": code, "message": message}).encode()
        return Answer(status, body, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code})
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if call.service == "ec2":
        body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>lab</RequestID></Response>".encode()
    else:
        kind = "Receiver" if status >= 500 else "Sender"
        space = ' xmlns="https://route53.amazonaws.com/doc/2013-04-01/"' if call.service == "route53" else ""
        error = f"<Error><Type>{kind}</Type>{error}</Error>"
        body = f"<ErrorResponse{space}>{error}<RequestId>lab</RequestId></ErrorResponse>".encode()
    return Answer(status, b'<?xml version="1.0" encoding="UTF-8"?>' + body, {"Content-Type": "text/xml"})


def throttled(call: Call) -> Answer:
    code = THROTTLED.get(call.service, "Throttling")
    return refusal(call, code, "Request limit exceeded.", 503 if call.service == "ec2" else 400)


def broken(call: Call) -> Answer:
    code = "InternalServerError" if call.service in JSON else "InternalError"
    return refusal(call, code, "An internal error has occurred", 500)


def expired(call: Call) -> Answer:
    if call.service == "ec2":
        return refusal(call, "RequestExpired", "Request has expired.")
    code = "ExpiredTokenException" if call.service in JSON else "ExpiredToken"
    return refusal(call, code, "The security token included in the request is expired")
