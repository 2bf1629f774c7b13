"""Items as DynamoDB and its streams send them, each value with its type, and plain records."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.application_records import Attribute, StoredRecord


def from_dynamodb(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Attribute]:
    r"""Return an item by attribute, from the form in which DynamoDB and its streams send it.

    In JSON bytes come in base64; a boto3 client has decoded them already. A kind of value that no
    record has is kept as DynamoDB writes it.

    >>> from_dynamodb({"a": {"S": "text"}, "n": {"N": "1"}, "b": {"B": "AAE="}, "c": {"B": b"0"}})
    {'a': 'text', 'n': 1, 'b': b'\x00\x01', 'c': b'0'}
    """
    return {name: _plain(value) for name, value in item.items()}


def to_dynamodb(record: StoredRecord) -> dict[str, Any]:
    r"""Return the item of a record whose values are text, bytes, whole numbers and booleans.

    >>> to_dynamodb({"a": "text", "n": 1, "b": b"\x00\x01", "yes": True})
    {'a': {'S': 'text'}, 'n': {'N': '1'}, 'b': {'B': b'\x00\x01'}, 'yes': {'BOOL': True}}
    """
    return {name: _typed(value) for name, value in record.items()}


def _plain(value: Mapping[str, Any]) -> Attribute:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            number = json.loads(content)
            return number if isinstance(number, int) else float(number)
        case "B":
            return b64decode(content) if isinstance(content, str) else bytes(content)
        case "NULL":
            return None
        case "S" | "BOOL":
            return content  # type: ignore[no-any-return]
    return json.dumps(value, sort_keys=True, default=str)


def _typed(value: Attribute) -> dict[str, object]:
    match value:
        case bool():
            return {"BOOL": value}
        case bytes():
            return {"B": value}
        case int():
            return {"N": str(value)}
    return {"S": value}
