import ssl
import stat

import pytest

from evo_moo.errors import UsageError
from evo_moo.evaluation.cluster.keys import AUTHORITY, CERTIFICATE, KEY, new_keys, security_of

x509 = pytest.importorskip("cryptography.x509")
pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "keys"
    new_keys(folder)
    return folder


def test_keys_are_readable_by_their_owner_alone(keys):
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in keys.iterdir()}
    assert modes == dict.fromkeys([AUTHORITY, CERTIFICATE, KEY], 0o600)


def test_keys_hold_for_both_sides_and_by_strict_rules(keys):
    authority, certificate = (
        x509.load_pem_x509_certificate((keys / name).read_bytes()) for name in (AUTHORITY, CERTIFICATE)
    )
    certificate.verify_directly_issued_by(authority)
    store = x509.verification.Store([authority])
    x509.verification.PolicyBuilder().store(store).build_client_verifier().verify(certificate, [])
    assert b"PRIVATE" not in (keys / AUTHORITY).read_bytes() + (keys / CERTIFICATE).read_bytes()


def test_security_listens_to_nobody_without_a_certificate(keys):
    for arguments in (security_of(keys).get_listen_args("scheduler"), security_of(keys).get_connection_args("worker")):
        assert arguments["require_encryption"] is True
        assert arguments["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert security_of(None) is None


def test_new_keys_replace_none(keys):
    before = (keys / KEY).read_bytes()
    with pytest.raises(UsageError, match=r"must name a new folder, but .* is not empty"):
        new_keys(keys)
    assert (keys / KEY).read_bytes() == before


def test_keys_that_others_may_read_are_refused(tmp_path):
    new_keys(tmp_path / "k")
    (tmp_path / "k" / KEY).chmod(0o640)
    with pytest.raises(UsageError, match="must be readable by you alone, but has the mode 640; chmod 600 it"):
        security_of(tmp_path / "k")


def test_keys_that_are_missing_or_damaged_are_refused(keys, tmp_path):
    with pytest.raises(UsageError, match=r"has no authority.pem and no certificate.pem and no key.pem"):
        security_of(tmp_path)
    for file in keys.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(0o600)
    (tmp_path / KEY).write_text("no key")
    with pytest.raises(UsageError, match="but they cannot be used"):
        security_of(tmp_path)
