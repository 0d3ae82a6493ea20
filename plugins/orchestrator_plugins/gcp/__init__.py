"""The built-in Google Cloud family."""
