"""S3: a conditional write compares and writes as one. moto reads what is there on one thread while another one replaces it, so that two
writers at once could both be told that they won."""

from typing import Any

from moto.s3.responses import S3Response

from .account import LOCK
from .patch import around


@around(S3Response, "put_object")
def put_object(original: Any, self: Any) -> Any:
    with LOCK:
        return original(self)
