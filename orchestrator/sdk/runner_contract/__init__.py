"""The contract suite of task runners in its parts; `sdk.testing` puts them together."""
