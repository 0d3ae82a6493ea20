"""The built-in docker family."""
