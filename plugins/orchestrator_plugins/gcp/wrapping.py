"""What runs around the user's command: texts for a POSIX shell, which is all that an image must have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.sdk import Job, JobRejected

COMMAND_FILE = ".script-command"  # in the working directory: what may not be seen in a job's description; gone before the command begins
ARCHIVE_IN, ARCHIVE_OUT, COMMAND, BROUGHT = "in.tar", "out.tar", "command", "out.done"  # objects below a job's prefix
INLINE = 8192  # bytes of a command, or of files without a bucket, that may stand in a job's description
_EXPORTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # names that a shell can set

# The command is a child: the shell is there after it to end both streams, whatever the command closed or left unterminated.
# The kernel counts in the container's own group what it killed for want of memory: nobody else tells.
AROUND = (
    'orchestrator_mark=$1; [ -z "$2" ] || cd "$2" || exit 125; shift 2; '
    f"if [ -f {COMMAND_FILE} ]; then . ./{COMMAND_FILE} && rm -f {COMMAND_FILE} || exit 125; fi; "
    '"$@" & orchestrator_child=$!; trap \'kill -TERM "$orchestrator_child" 2>/dev/null\' TERM INT HUP; '
    'wait "$orchestrator_child" 2>/dev/null; orchestrator_code=$?; '
    'while kill -0 "$orchestrator_child" 2>/dev/null; do wait "$orchestrator_child" 2>/dev/null; orchestrator_code=$?; done; '
    'orchestrator_said="$orchestrator_mark:$orchestrator_code"; if [ "$orchestrator_code" = 137 ]; then '
    "for orchestrator_file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do "
    'if [ -r "$orchestrator_file" ]; then while read -r orchestrator_name orchestrator_number; do '
    '[ "$orchestrator_name" = oom_kill ] && [ "$orchestrator_number" != 0 ] && orchestrator_said="$orchestrator_said:oom"; '
    'done < "$orchestrator_file"; fi; done; fi; '
    'echo "$orchestrator_said"; echo "$orchestrator_said" >&2; exit "$orchestrator_code"'
)
# $1 mark, $2 folder of the bucket or "", $3 working directory, $4 a tar in base64 where there is no bucket
BRING_IN = (
    'say() { echo "$1!$2" >&2; exit 1; }; mark=$1 bucket=$2 folder=$3; '
    'cd "$folder" || say "$mark" "no working directory"; rm -rf ./* ./.[!.]* ./..?*; '
    'if [ -n "$bucket" ]; then said=$(tar -xpf "$bucket/in.tar" -C / 2>&1) || say "$mark" "$said"; '
    f'if [ -f "$bucket/{COMMAND}" ]; then said=$(cp "$bucket/{COMMAND}" {COMMAND_FILE} 2>&1) || say "$mark" "$said"; fi; '
    'else said=$(echo "$4" | base64 -d | gzip -dc | tar -xpf - -C / 2>&1) || say "$mark" "$said"; fi; '
    "chmod -R a+rwX . 2>/dev/null || true"
)
# $1 mark, $2 folder of the bucket, $3 working directory, then what to bring back as far as it is there
BRING_OUT = (
    'mark=$1 bucket=$2; cd "$3" || exit 0; shift 3; n=$#; '
    'while [ "$n" -gt 0 ]; do p=$1; shift; n=$((n-1)); if [ -e "./$p" ]; then set -- "$@" "./$p"; fi; done; '
    'if [ "$#" -gt 0 ]; then said=$(tar -cf "$bucket/out.tar" "$@" 2>&1) || { echo "$mark!$said" >&2; exit 0; }; fi; '
    f'echo done > "$bucket/{BROUGHT}"'
)


@dataclass(frozen=True)
class Shown:
    """A command as a job's description may show it, and the text of the file that holds what it may not."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    hidden: str | None = None


def mark_of(key: str) -> str:
    """How the wrapper's own lines begin: no command prints this by chance."""
    return f"@end-of-job-{key[-16:]}"


def shown(job: Job, words: Sequence[str], env: Mapping[str, str], *, has_bucket: bool) -> Shown:
    """The command with nothing secret and nothing long in what is shown of it.

    `words` is all of it, the entry point included. Raises JobRejected when there is no bucket that the rest could travel through.
    """
    withheld = {name for name, value in env.items() if _is_secret(job, value) or (has_bucket and "\n" in value)}
    long = sum(len(word.encode()) for word in words) > INLINE
    if not withheld and not long and not any(_is_secret(job, word) for word in words):
        return Shown(tuple(words), dict(env))
    if not has_bucket:
        why = "is longer than 8 KiB" if long else "holds a secret, which everyone who may look at the job would see"
        raise JobRejected(f"the command or its environment {why}: set the runner's `bucket`, so that it can travel as a file")
    if unset := sorted(name for name in withheld if not _EXPORTED.fullmatch(name)):
        raise JobRejected(f"the environment variable `{unset[0]}` holds a secret and has a name that no shell can set: rename it")
    lines = [f"export {name}={shlex.quote(env[name])}" for name in sorted(withheld)]
    lines.append("set -- " + " ".join(shlex.quote(word) for word in words))
    return Shown((), {name: value for name, value in env.items() if name not in withheld}, "\n".join(lines) + "\n")


def _is_secret(job: Job, text: str) -> bool:
    return any(secret and secret in text for secret in job.secrets)
