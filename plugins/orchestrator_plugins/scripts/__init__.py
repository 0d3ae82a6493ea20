"""The built-in scripts family."""
