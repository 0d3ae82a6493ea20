#!/usr/bin/env bash
# A Docker engine that answers at the usual socket: started where there is none, also on a machine without systemd.
# Leaves an engine that already answers alone. Needs root and `dockerd` to start one.
set -euo pipefail
answers() { docker version >/dev/null 2>&1; }
say() { printf '[docker] %s\n' "$*" >&2; }

if answers; then exit 0; fi
if [ -n "${DOCKER_HOST:-}" ]; then say "no engine answers at DOCKER_HOST=$DOCKER_HOST"; exit 1; fi
if [ "$(id -u)" != 0 ]; then say "no engine answers, and only root can start one"; exit 1; fi

log=${TMPDIR:-/tmp}/dockerd.log
say "starting dockerd (its words: $log)"
# A session of its own and no inherited files: the engine must outlive this shell, and not hold its pipes open.
setsid dockerd </dev/null >"$log" 2>&1 &
engine=$!
for _ in $(seq 300); do
  if answers; then exit 0; fi
  if ! kill -0 "$engine" 2>/dev/null; then break; fi
  sleep 0.2
done
say "the engine did not start:"
tail -n 20 "$log" >&2
exit 1
