"""The server's paths for running work, opened by a run-scoped token (`Authorization: Bearer <token>`) of that execution.

Fill a template with `at`, which percent-encodes; errors come as the API's usual `{"message": ...}` with 404, 409, 422.
"""

from __future__ import annotations

from urllib.parse import quote

RUN = "/api/v1/internal/runs/{execution_id}"
OUTPUTS = RUN + "/outputs/{task_id}"  # GET -> JSON: the outputs of that task, as templates see them
OPEN = RUN + "/open"  # POST {"sealed": [...]} -> {"values": [...]}
SEAL = RUN + "/seal"  # POST {"text": str} -> {"sealed": ...}
SECRET = RUN + "/secret"  # GET ?key=[&namespace=] -> {"value": str}
ERROR_LOGS = RUN + "/error-logs"  # GET -> [{taskId, message, level, ...}]
FILES = RUN + "/files"  # PUT ?name=[&task=&taskRun=], raw body -> {"uri": str}; GET ?uri= -> the bytes; DELETE ?uri= -> {"deleted": bool}
FILES_PURGE = RUN + "/files/purge"  # POST -> {"uris": [str]}, all files of the execution, which are gone
FILE_SIZE = RUN + "/files/size"  # GET ?uri= -> {"size": int}
CACHE = RUN + "/cache"  # GET ?name=[&ttl=seconds] -> the bytes; PUT ?name=, raw body -> 204: of the execution's flow
KEYS = RUN + "/kv/{namespace}"  # GET -> [str], the keys that have not expired
KEY = (
    RUN + "/kv/{namespace}/{key}"
)  # GET -> {"value": ...}; PUT {"value", "ttl": seconds or null, "description", "overwrite"} -> 204; DELETE -> {"deleted": bool}
NAMESPACE_FILES = RUN + "/namespace-files/{namespace}"  # GET -> [str], paths of all files, each with a leading "/"
NAMESPACE_FILE = RUN + "/namespace-files/{namespace}/content"  # GET ?path= -> the bytes; PUT ?path=, raw body -> 204; DELETE ?path= -> {"deleted": bool}
LOGS = RUN + "/logs"  # GET ?execution=&minLevel=[&task=&task=] -> lines as JSON, one per line, oldest first
CALLED = RUN + "/called"  # GET ?taskRun=&task= -> outputs of the executions that a task beside that run has started, as JSON, one per line
COUNT = RUN + "/count"  # GET ?namespace=[&flowId=&state=&state=&startDate=&endDate=] -> {"count": int}
TRIGGER = RUN + "/triggers/{namespace}/{flow_id}/{trigger_id}"  # PUT {"disabled": bool} -> 204

RESUME = RUN + "/resume/{other_id}"  # POST {"inputs": {...}} -> 204: another execution, that is paused
PURGE_EXECUTIONS = RUN + "/purge/executions"  # POST {"which": {...}, "what": {...}} -> {"executions", "logs", "metrics", "storages"}
PURGE_LOGS = RUN + "/purge/logs"  # POST {"which": {...}} -> {"executions", "others"}


def at(template: str, **parts: str) -> str:
    """A template with its parts filled in, each percent-encoded."""
    return template.format_map({name: quote(text, safe="") for name, text in parts.items()})
