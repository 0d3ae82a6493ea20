"""What ids and namespaces may look like. Source: the patterns of the REST contract."""

from __future__ import annotations

import re

FLOW_ID_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9._-]*"
NAMESPACE_PATTERN = "^[a-z0-9][a-z0-9._-]*"
ID_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9_-]*"
INPUT_ID_PATTERN = "^[a-zA-Z0-9][.a-zA-Z0-9_-]*"

FLOW_ID = re.compile(FLOW_ID_PATTERN)
NAMESPACE = re.compile(NAMESPACE_PATTERN)
ID = re.compile(ID_PATTERN)
INPUT_ID = re.compile(INPUT_ID_PATTERN)

MAX_FLOW_ID = 100
MAX_NAMESPACE = 150
