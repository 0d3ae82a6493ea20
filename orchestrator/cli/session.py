"""What `run` needs of a place that runs flows: the contract that the cluster's own session, below this room, holds too."""

from __future__ import annotations

from orchestrator.model.session import ExecutionNews, FlowRef, Hitch, Json, LogNews, Session, Start, Update

__all__ = ["ExecutionNews", "FlowRef", "Hitch", "Json", "LogNews", "Session", "Start", "Update"]
