"""The built-in process family."""
