"""The built-in aws family."""
