"""The family of SQL databases."""
