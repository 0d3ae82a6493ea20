#!/bin/bash
# The head of a RayCluster: Ray's head node, and beside it the server. Ends when either ends, so that the pod is made anew.
set -u
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
(
  # No process of Ray, and so no worker, inherits what is the server's alone.
  for name in $(compgen -e); do
    case "$name" in
      SECRET_* | ORCHESTRATOR_API_TOKEN* | ORCHESTRATOR_ENCRYPTION_SECRET_KEY* | ORCHESTRATOR_DATABASE* | RAY_JOB* | RAY_ADDRESS* | KESTRA_* | ENV_*) unset "$name" ;;
    esac
  done
  exec bash -c "$KUBERAY_GEN_RAY_START_CMD"
) &
ray=$!
server=
# First the server, which ends its own actors on the cluster, then Ray.
trap 'kill -TERM ${server:-$ray} 2>/dev/null' TERM INT
until ray health-check --address "127.0.0.1:${RAY_PORT:-6379}" >/dev/null 2>&1; do
  kill -0 "$ray" 2>/dev/null || exit 1
  sleep 1
done
orchestrator server standalone "$@" &
server=$!
wait -n "$ray" "$server"
code=$?
kill -TERM "$server" 2>/dev/null
wait "$server"
kill -TERM "$ray" 2>/dev/null
wait "$ray"
exit "$code"
