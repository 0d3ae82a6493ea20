"""How the schema came to be, step by step; `upgrading` runs it."""
