"""What expressions can call: filters, functions and tests, the values they share, and how values print."""
