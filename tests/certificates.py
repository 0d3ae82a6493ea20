"""Certificates for tests that speak TLS: an authority, a server's and clients', as PEM texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOCK = b"hunter2"  # the password of each `...-locked-key`


def authority(name: str = "test authority", *, names: Sequence[str] = (), clients: Sequence[str] = ()) -> Mapping[str, str]:
    """`root`; `server` for the names with `server-key`; and per client `<name>`, `<name>-key` and `<name>-locked-key`."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _signed(name, root_key, name, root_key, ca=True)
    found = {"root": _pem(root)}
    for holder in ("server", *clients):
        key = ec.generate_private_key(ec.SECP256R1())
        found[holder] = _pem(_signed(holder, key, name, root_key, names=names if holder == "server" else ()))
        found[f"{holder}-key"] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        found[f"{holder}-locked-key"] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(LOCK)).decode()
    return found


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: str, by_key: ec.EllipticCurvePrivateKey, *, names: Sequence[str] = (), ca: bool = False
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
    return builder.sign(by_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
