"""Resolve a database host once, and say which of its addresses may be connected to."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence

from ktx_daemon.database_introspection._dsn import ConnectionRefused, Dsn
from ktx_daemon.errors import DaemonError

__all__ = ["resolve"]

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services of clouds outside the link-local range: AWS over IPv6, Alibaba, Oracle.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def resolve(dsn: Dsn, allowed: Sequence[str], timeout: float) -> list[str]:
    """Addresses of the host, in the resolver's order; all of them are fit to be connected to.

    With `allowed` (host names, addresses, networks) every other host is refused. One unfit address refuses
    the host: a name that points at both a database and a metadata service is not a mistake.
    Raises `ConnectionRefused`, or `DaemonError("connection_failed")` if the name has no address.
    """
    named = dsn.host.lower().rstrip(".") in {rule.lower().rstrip(".") for rule in allowed}
    networks = [network for rule in allowed if (network := _network(rule)) is not None]
    if allowed and not named and not networks:
        raise _not_allowed()
    addresses = _lookup(dsn, timeout)
    for address in map(ipaddress.ip_address, addresses):
        inner = _embedded(address)
        if any(_never(candidate) for candidate in (address, inner)):
            raise ConnectionRefused("the database host is a link-local, multicast, unspecified or metadata address")
        if allowed and not named and not any(inner in network or address in network for network in networks):
            raise _not_allowed()
    return addresses


def _lookup(dsn: Dsn, timeout: float) -> list[str]:
    found: list[str] = []
    failed: list[BaseException] = []

    def look() -> None:
        try:
            for entry in socket.getaddrinfo(dsn.host, dsn.port, type=socket.SOCK_STREAM):
                # Without a scope: `%eth0` belongs to link-local addresses, which are refused anyway.
                found.append(str(entry[4][0]).partition("%")[0])
        except (OSError, UnicodeError) as error:
            failed.append(error)

    # The system resolver has no time limit of its own.
    thread = threading.Thread(target=look, daemon=True, name="resolve-database-host")
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise DaemonError("connection_failed", f"resolving the database host took too long ({dsn.place})")
    if failed or not found:
        raise DaemonError("connection_failed", f"the database host cannot be resolved ({dsn.place})")
    return list(dict.fromkeys(found))


def _never(address: Address) -> bool:
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _METADATA
        or (address.version == 4 and (address in _THIS_NETWORK or address == ipaddress.ip_address("255.255.255.255")))
    )


def _embedded(address: Address) -> Address:
    """The IPv4 address an IPv6 one stands for (mapped, 6to4, NAT64, compatible), else the address."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    mapped = address.ipv4_mapped or address.sixtofour
    if mapped is None and address.teredo is not None:
        mapped = address.teredo[1]
    number = int(address)
    if mapped is None and (address in _NAT64 or 1 < number < 2**32):
        mapped = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return mapped or address


def _network(rule: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(rule.strip("[]"), strict=False)
    except ValueError:
        return None


def _not_allowed() -> ConnectionRefused:
    return ConnectionRefused("the database host is not among those given with --allow-database-host")
