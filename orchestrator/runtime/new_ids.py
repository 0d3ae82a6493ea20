"""Fresh ids, as the model makes them."""

from orchestrator.model.new_ids import new_id

__all__ = ["new_id"]
