"""Addresses as host:port: whether somebody listens there, or nobody does."""

from __future__ import annotations

import socket

PATIENCE = 3.0  # seconds for a connection to be accepted


def answers(address: str) -> bool:
    """Whether anything listens at host:port; an address of another form is taken to."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return True
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def is_free(host: str, port: int) -> bool:
    """Whether a server of this machine could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
