"""The address guard's rules, without a socket."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import AddressRefusedError, SetupError
from app.net import check_url, parse_trusted, target_of
from app.net.addresses import is_public

LOOPBACK = ("127.0.0.0/8", "::1/128", "localhost")


def assert_refused(url: str, trusted: tuple[str, ...] = (), **options: bool) -> None:
    with pytest.raises(AddressRefusedError):
        check_url(url, trusted, **options)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/v1",
        "https://api.example.com:443/v1?a=b&c=%20d",
        "HTTPS://API.Example.COM/v1",
        "https://xn--bcher-kva.example/v1",
        "https://8.8.8.8/v1",
        "https://[2606:4700:4700::1111]/v1",
    ],
)
def test_an_ordinary_https_url_is_allowed(url: str) -> None:
    check_url(url, ())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "localhost",
        "a.localhost",
        "[::1]",
        "0",
        "0.0.0.0",
        "[::]",
        "LOCALHOST",
    ],
)
def test_x1_this_machine_is_refused(host: str) -> None:
    assert_refused(f"https://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "017700000001", "127.1", "0x7f.1", "0177.0.0.1", "127.0.1"),
        *("0251.0376.0251.0376", "127.0.0.1.", "localhost.", "1.2.3.4.5", "256.1.1.1", "08.8.8.8"),
        *("0x7F.0.0.1", "0x", "4294967296", "8.8.8.0x8", "010.8.8.8"),
    ],
)
@pytest.mark.parametrize("trusted", [(), LOOPBACK], ids=["none", "loopback"])
def test_x2_an_address_in_any_but_its_plain_spelling_is_refused(
    host: str, trusted: tuple[str, ...]
) -> None:
    assert_refused(f"https://{host}/", trusted)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "①②⑦.⓪.⓪.①",
            "\uff11\uff12\uff17.0.0.1",
            "127。0。0。1",
            "127\uff0e0\uff0e0\uff0e1",
            "127｡0｡0｡1",
        ),
        *("ⓛocalhost", "bücher.example", "exam\u00adple.com", "a\u200bb.com"),
    ],
)
@pytest.mark.parametrize("trusted", [(), LOOPBACK], ids=["none", "loopback"])
def test_x3_a_host_that_is_not_ascii_is_refused(host: str, trusted: tuple[str, ...]) -> None:
    assert_refused(f"https://{host}/", trusted)


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[fd00:ec2::254]"),
        *("100.100.100.200", "192.0.0.192", "168.63.129.16", "[fe80::a9fe:a9fe]", "[fd20:ce::254]"),
    ],
)
def test_x4_metadata_services_are_refused(host: str) -> None:
    assert_refused(f"https://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        *("::ffff:a9fe:a9fe", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe"),
        *(
            "2002:a9fe:a9fe::",
            "2001:0:a9fe:a9fe::1",
            "::127.0.0.1",
            "fec0::1",
            "fc00::1",
            "ff02::1",
        ),
        *("2001:db8::1", "100::1", "5f00::1", "3fff::1", "fe80::1", "::1", "4000::1", "1::1"),
    ],
)
def test_x5_ipv6_that_is_not_global_or_carries_ipv4_is_refused(host: str) -> None:
    assert_refused(f"https://[{host}]/")


def test_x5_an_address_with_a_zone_is_refused() -> None:
    assert_refused("https://[fe80::1%25eth0]/")
    assert_refused("https://[2606:4700::1%251]/", ("2606:4700::/32",))


@pytest.mark.parametrize(
    "host",
    [
        *(
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
        ),
        *("198.18.0.1", "198.19.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("0.1.2.3", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "192.0.0.1"),
    ],
)
def test_x6_private_and_reserved_networks_are_refused(host: str) -> None:
    assert_refused(f"https://{host}/")


@pytest.mark.parametrize(
    "host", ["9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.1", "100.128.0.1"]
)
def test_x6_their_neighbours_are_allowed(host: str) -> None:
    check_url(f"https://{host}/", ())


@pytest.mark.parametrize(
    "url",
    [
        *("https://user:pw@example.com/", "https://user@example.com/", "https://@example.com/"),
        *("https://good.com\\@evil.com/", "https://good.com\\.evil.com/", "https://[good.com]/"),
        *("https://good.com@127.0.0.1/", "https://[127.0.0.1]/", "https://[]/", "https:///path"),
        *(
            "gopher://example.com/",
            "file:///etc/passwd",
            "ftp://example.com/",
            "javascript:alert(1)",
        ),
        *(
            "//example.com/",
            "example.com",
            "",
            "https:",
            "https://",
            "https:example.com",
            "http://",
        ),
        *(
            "https://exa mple.com/",
            "https://example.com/a b",
            "https://example.com/\n",
            "\thttps://a.b/",
        ),
        *("https://example.com/\x00", "https://example.com:0/", "https://example.com:65536/"),
        *(
            "https://example.com:443:443/",
            "https://example.com:https/",
            "https://a..b/",
            "https://.a/",
        ),
        *(
            "https://-a.example/",
            "https://a%2eb/",
            "https://a,b/",
            "https://é.example/",
            "https://a.b/é",
        ),
        "https://example.com/" + "a" * 2048,
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
    ],
)
@pytest.mark.parametrize("trusted", [(), LOOPBACK], ids=["none", "loopback"])
def test_x10_a_url_of_another_form_is_refused(url: str, trusted: tuple[str, ...]) -> None:
    assert_refused(url, trusted)


@pytest.mark.parametrize("port", [22, 25, 80, 6379, 8080, 8443])
def test_x10_only_port_443_is_allowed(port: int) -> None:
    assert_refused(f"https://example.com:{port}/")


def test_x10_plain_http_is_refused_unless_it_was_opted_into() -> None:
    assert_refused("http://example.com/")
    check_url("http://example.com/", (), allow_http=True)
    assert_refused("http://example.com:8080/", allow_http=True)
    assert_refused("http://example.com:443/", allow_http=True)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://127.0.0.1:8080/v1",
            "http://localhost:11434/v1",
            "http://[::1]:9/",
            "http://127.0.0.2/",
        ),
        *("https://LOCALHOST/", "http://[::ffff:127.0.0.1]:8080/"),
    ],
)
def test_a_trusted_host_may_be_reached_on_any_port_and_without_tls(url: str) -> None:
    check_url(url, LOOPBACK)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "https://192.168.0.1/", "http://example.com/", "https://[fc00::1]/"]
)
def test_trust_in_one_network_is_no_trust_in_another(url: str) -> None:
    assert_refused(url, LOOPBACK)


def test_a_name_is_trusted_as_written_and_not_by_its_end() -> None:
    trusted = ("ollama.internal",)
    check_url("http://ollama.internal:11434/v1", trusted)
    check_url("http://OLLAMA.internal:11434/v1", trusted)
    assert_refused("http://evil.ollama.internal:11434/v1", trusted)
    assert_refused("http://ollama.internal.evil.com:11434/v1", trusted)


@pytest.mark.parametrize(
    "entry", ["http://localhost", "localhost:8080", "10.0.0.0/33", "a b", "", "é"]
)
def test_a_trusted_host_that_is_none_keeps_us_from_starting(entry: str) -> None:
    with pytest.raises(SetupError, match="OVERNIGHT_TRUSTED_HOSTS"):
        parse_trusted([entry])


def test_a_refusal_does_not_repeat_the_url() -> None:
    with pytest.raises(AddressRefusedError) as caught:
        check_url("https://user:hunter2@example.com/?key=hunter2", ())
    assert "hunter2" not in str(caught.value)


@given(st.ip_addresses(v=4))
def test_what_is_public_over_ipv4_is_public_as_a_mapped_address(address: object) -> None:
    assert is_public(ip_address(f"::ffff:{address}")) == is_public(ip_address(str(address)))


@given(st.text(max_size=80))
def test_any_text_is_allowed_or_refused_and_nothing_else(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/v1", f"http://127.0.0.1{text}"):
        try:
            target = target_of(url, parse_trusted(LOOPBACK))
        except AddressRefusedError:
            continue
        assert target.scheme in ("http", "https")
        assert target.is_trusted or target.port == 443
