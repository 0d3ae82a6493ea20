"""An orchestrator on Ray: YAML flows on worker groups and in containers."""

__version__ = "0.1.0"
