r"""The shell texts that a job's containers run. POSIX `sh`; the main one uses nothing but what a shell has built in.

What a command prints reaches CloudWatch through a driver that drops empty lines, cuts long ones and knows no streams. So each line
is passed on as a record, `RS o US text` of stdout and `RS e US text` of stderr, and the last one, `RS z US code`, says that
no more comes. `records.py` reads them back. (A line longer than a pipe takes at once may be torn by one of the other stream.)
"""

from __future__ import annotations

SECRET = ".script-secret"  # a file in the working directory; emptied before the command begins  # noqa: S105 - a name
DOUBLE = 75  # the exit code of the input sidecar in a job whose run has begun in another job
STARTED, INPUT, OUTPUT = "started", "in.tar", "out.tar"  # objects below a job's prefix

# The arguments: the working directory, a mark that nobody prints, the command. A pump ends at the mark, not at the end of
# its pipe: a process left behind in the background may hold that open for ever. What the shell itself would say of a killed
# command goes nowhere.
MAIN = r"""
cd "$1" || exit 126
__o_mark=$2
shift 2
exec 3>&1 2>/dev/null
__o_pump() {
  trap '' TERM INT QUIT
  LC_ALL=C
  while IFS= read -r __o_line || [ -n "$__o_line" ]; do
    case $__o_line in
    *"$__o_mark"*)
      __o_code=${__o_line##*"$__o_mark"}
      __o_line=${__o_line%"$__o_mark"*}
      [ -z "$__o_line" ] || printf '\036%s\037%s\n' "$1" "$__o_line"
      [ "$1" = e ] || printf '%s\n' "$__o_mark$__o_code" >&4
      return "$__o_code" ;;
    esac
    printf '\036%s\037%s\n' "$1" "$__o_line"
  done
}
__o_run() {
  trap : TERM INT QUIT
  if [ -s .script-secret ]; then
    . ./.script-secret
    : > .script-secret
    rm -f .script-secret 2>/dev/null
  fi
  (exec 2>&4 3>&- 4>&-; exec "$@")
  printf '%s\n' "$__o_mark$?"
}
{ __o_run "$@" | __o_pump o >&3; } 4>&1 | __o_pump e >&3 &
__o_last=$!
trap 'trap "" TERM INT QUIT; kill -TERM 0' TERM INT QUIT
wait "$__o_last"
__o_code=$?
while kill -0 "$__o_last" 2>/dev/null; do
  wait "$__o_last"
  __o_code=$?
done
printf '\036z\037%s\n' "$__o_code"
exit "$__o_code"
"""

# A tar that knows pax headers: GNU's or libarchive's, else Python, else whatever is there.
_TAR = r"""
pax_tar() { case $(tar --version 2>/dev/null) in *GNU*|*bsdtar*) return 0 ;; esac; return 1; }
any_python() { for name in python3 python; do command -v "$name" && return 0; done; return 1; }
"""

# The arguments: bucket, prefix, working directory. One job of a run may go on from here: the one that puts `started` first.
INPUTS = (
    _TAR
    + r"""
set -e
umask 0
printf %s "$AWS_BATCH_JOB_ID" > /tmp/started
if ! said=$(aws s3api put-object --bucket "$1" --key "$2/started" --if-none-match '*' --body /tmp/started 2>&1); then
  first=$(aws s3 cp "s3://$1/$2/started" - 2>/dev/null) || { echo "$said" >&2; exit 1; }
  [ "$first" = "$AWS_BATCH_JOB_ID" ] || { echo "job $first has begun this run" >&2; exit 75; }
fi
unpack() {
  if ! pax_tar && found=$(any_python); then
    "$found" -c 'import sys, tarfile
more = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}
tarfile.open(fileobj=getattr(sys.stdin, "buffer", sys.stdin), mode="r|").extractall(sys.argv[1], **more)' "$1"
  else
    tar -x -p -f - -C "$1"
  fi
}
aws s3 cp "s3://$1/$2/in.tar" - --only-show-errors | unpack "$3"
"""
)

# The arguments: bucket, prefix, working directory, and the paths below it that may hold output files.
OUTPUTS = (
    _TAR
    + r"""
bucket=$1 prefix=$2
cd "$3" || exit 1
shift 3
left=$#
while [ "$left" -gt 0 ]; do
  if [ -e "./$1" ] || [ -L "./$1" ]; then set -- "$@" "./$1"; fi
  shift
  left=$((left - 1))
done
[ $# -gt 0 ] || exit 0
pack() {
  if ! pax_tar && found=$(any_python); then
    "$found" -c 'import sys, tarfile
out = tarfile.open(fileobj=getattr(sys.stdout, "buffer", sys.stdout), mode="w|", format=tarfile.PAX_FORMAT)
for name in sys.argv[1:]: out.add(name)
out.close()' "$@"
  elif pax_tar; then
    tar -c --format=pax -f - "$@"
  else
    tar -c -f - "$@"
  fi
}
rm -f /tmp/torn
{ pack "$@" || echo torn > /tmp/torn; } | aws s3 cp - "s3://$bucket/$prefix/out.tar" --only-show-errors || exit 1
[ ! -e /tmp/torn ]
"""
)


def mark_of(job_key: str) -> str:
    """What ends a job's output: nothing that its command would print."""
    return f"<<orchestrator-end {job_key[-16:]}>>"
