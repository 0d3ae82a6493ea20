"""The built-in core family."""
