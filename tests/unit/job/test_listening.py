import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.errors import JobError, UsageError
from evo_moo.job.check import check_job
from evo_moo.job.listening import Address, is_address, listen_faults

HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
)


@given(HOSTS, st.integers(0, 65535))
def test_an_address_is_read_as_it_is_written(host, port):
    address = Address(host, port)
    assert Address.read(str(address), "key") == address
    assert is_address(str(address))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("tcp://:8786", ("127.0.0.1", 8786)),
        ("tls://node17:0", ("node17", 0)),
        ("0.0.0.0", ("0.0.0.0", 0)),
        ("[::1]:8786", ("::1", 8786)),
    ],
)
def test_an_address_in_short(text, read):
    assert Address.read(text, "key") == read


@pytest.mark.parametrize(
    "text", ["", " ", "tcp://host:99999", "http://host:1", "host:port", "tcp://a b:1", "tcp://h:1/x"]
)
def test_a_text_that_is_no_address_is_refused_by_its_key(text):
    with pytest.raises(UsageError, match=r"`evaluation\.listen` must be an address"):
        Address.read(text, "evaluation.listen")


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        *((host, True) for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "no-such-host.invalid")),
    ],
)
def test_the_loopback_is_told_from_what_others_reach(host, is_loopback):
    assert Address(host, 0).is_loopback == is_loopback


def test_another_address_than_the_loopback_needs_keys():
    assert listen_faults("tcp://127.0.0.1:0", None, "auto", None) == []
    assert listen_faults("tcp://0.0.0.0:1", "keys", "dask", None) == []
    (fault,) = listen_faults("tcp://0.0.0.0:1", None, "auto", None)
    assert "but is 'tcp://0.0.0.0:1'; `evo-moo work --new-keys DIR` makes keys" in fault


def test_a_job_lists_what_cannot_go_with_listening():
    job = {"problem": {"use": "pymoo:bnh"}, "budget": {"n_evals": 4}}
    evaluation = {"listen": "tcp://0.0.0.0:1", "pool": "serial", "address": "tcp://a:1"}
    with pytest.raises(JobError) as told:
        check_job(job | {"evaluation": evaluation})
    assert sum(fault.startswith("`evaluation.listen` must") for fault in told.value.faults) == 3
