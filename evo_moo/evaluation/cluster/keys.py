"""The keys by which a run and its workers know each other, for Dask's TLS.

A folder holds the certificate of an authority, a certificate that it signed, and the private key of that. The private
key of the authority is thrown away, so nobody makes more. Whoever has the folder may join the run, and run code on
every host of it: it belongs to one person, and to all hosts of theirs.
"""

import datetime
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from evo_moo.errors import UsageError, missing_extra

AUTHORITY, CERTIFICATE, KEY = "authority.pem", "certificate.pem", "key.pem"
VALID_FOR = datetime.timedelta(days=3650)
_SKEW = datetime.timedelta(days=1)  # of the clocks of several hosts


def new_keys(folder: Path) -> None:
    """Make keys in a new folder, readable by its owner alone.

    Raises:
        UsageError: The folder is not empty or cannot be written, or ``cryptography`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise missing_extra("dask", "`--new-keys`") from error
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"`--new-keys` must name a new folder, but `{folder}` is not empty; name another")
        folder.chmod(0o700)
        authority, certificate, key = _made()
        pem, nothing = serialization.Encoding.PEM, serialization.NoEncryption()
        _write(folder / AUTHORITY, authority.public_bytes(pem))
        _write(folder / CERTIFICATE, certificate.public_bytes(pem))
        _write(folder / KEY, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, nothing))
    except OSError as error:
        raise UsageError(
            f"`--new-keys` must name a folder that can be written, but `{folder}` is none: {error.strerror}"
        ) from error


def security_of(folder: Path | None) -> Any:
    """Return Dask's ``Security`` with the keys of a folder: nobody without them is listened to; None without a folder.

    Raises:
        UsageError: Keys are missing, or others may read the private one; all faults are listed.
    """
    if folder is None:
        return None
    if faults := _faults(folder):
        raise UsageError(*faults)
    import ssl

    from distributed import Security

    files = {f"tls_{role}_cert": str(folder / CERTIFICATE) for role in ("client", "scheduler", "worker")}
    files |= {f"tls_{role}_key": str(folder / KEY) for role in ("client", "scheduler", "worker")}
    security = Security(
        require_encryption=True,
        tls_ca_file=str(folder / AUTHORITY),
        tls_min_version=ssl.TLSVersion.TLSv1_3,
        tls_max_version=ssl.TLSVersion.TLSv1_3,
        **files,
    )
    try:
        security.get_listen_args("scheduler")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(
            f"`{folder}` must hold keys as `evo-moo work --new-keys DIR` makes them, but they cannot be used: {error}"
        ) from error
    return security


def _faults(folder: Path) -> list[str]:
    rule = f"`{folder}` must hold keys as `evo-moo work --new-keys DIR` makes them"
    missing = [name for name in (AUTHORITY, CERTIFICATE, KEY) if not (folder / name).is_file()]
    if missing:
        return [f"{rule}, but has no {' and no '.join(missing)}"]
    mode = stat.S_IMODE((folder / KEY).stat().st_mode)
    if mode & 0o077:
        return [f"`{folder / KEY}` must be readable by you alone, but has the mode {mode:03o}; chmod 600 it"]
    return []


def _made() -> tuple[Any, Any, Any]:
    """Return an authority's certificate, a certificate that it signed for both sides, and the key of that."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)

    def signed(name: str, key: Any, issuer: str, signer: Any, *extensions: tuple[Any, bool]) -> Any:
        builder = x509.CertificateBuilder().serial_number(x509.random_serial_number()).public_key(key.public_key())
        builder = builder.subject_name(_named(name)).issuer_name(_named(issuer))
        builder = builder.not_valid_before(now - _SKEW).not_valid_after(now + VALID_FOR)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        more = [(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False), (identifier, False)]
        for extension, is_critical in (*extensions, *more):
            builder = builder.add_extension(extension, is_critical)
        return builder.sign(signer, hashes.SHA256())

    def _named(name: str) -> Any:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def usage(*, signs: bool) -> Any:
        return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    title = f"evo-moo {secrets.token_hex(8)}"
    root = signed(title, authority, title, authority, (x509.BasicConstraints(True, 0), True), (usage(signs=True), True))
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    name = x509.SubjectAlternativeName([x509.DNSName("evo-moo")])
    leaf = (x509.BasicConstraints(False, None), True), (usage(signs=False), True), (both, False), (name, False)
    return root, signed("evo-moo", own, title, authority, *leaf), own


def _write(path: Path, text: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
