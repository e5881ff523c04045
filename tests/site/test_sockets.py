"""Connections are spread among the workers, and no other server gets any of them."""

import socket

import pytest

from llmring_site import startup
from llmring_site.sockets import bind, bind_all, listen, spread

WORKERS = 3


@pytest.fixture
def bound():
    sockets = bind("127.0.0.1", 0)
    yield sockets
    for sock in sockets:
        sock.close()


def accepted(sock: socket.socket) -> int:
    sock.setblocking(False)
    count = 0
    while True:
        try:
            sock.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_each_worker_gets_its_share_of_connections(bound):
    listen(bound)
    own = spread(bound, WORKERS)
    assert len(own) == WORKERS
    clients = [socket.create_connection(bound[0].getsockname()) for _ in range(120)]
    shares = [sum(map(accepted, sockets)) for sockets in own]
    for client in clients:
        client.close()
    for sockets in own[1:]:
        sockets[0].close()
    assert sum(shares) == 120
    assert min(shares) > 10  # forty each on average; a dozen or fewer has odds of one in 10^9


def test_port_of_a_spread_server_is_in_use(bound):
    listen(bound)
    own = spread(bound, WORKERS)
    port = bound[0].getsockname()[1]
    with pytest.raises(startup.StartupError, match="is in use"):
        bind("127.0.0.1", port)
    for sockets in own[1:]:
        sockets[0].close()


def test_of_two_servers_that_bind_at_once_one_listens(bound):
    port = bound[0].getsockname()[1]
    other = bind("127.0.0.1", port)  # neither listens yet
    listen(bound)
    own = spread(bound, WORKERS)
    with pytest.raises(startup.StartupError, match="is in use"):
        listen(other)
    for sock in (*other, *(sockets[0] for sockets in own[1:])):
        sock.close()


@pytest.mark.parametrize(
    ("hosts", "listening"),
    [
        (["127.0.0.1", "0.0.0.0"], ["0.0.0.0"]),  # `--host` beside the port of LISTEN_ADDR
        (["0.0.0.0", "::"], ["::"]),
        (["[::]", "127.0.0.1"], ["::"]),
        (["127.0.0.1", "127.0.0.2"], ["127.0.0.1", "127.0.0.2"]),
    ],
)
def test_one_socket_serves_all_hosts_of_a_port(hosts, listening):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sockets = bind_all([(host, port) for host in hosts])
    assert [sock.getsockname()[0] for sock in sockets] == listening
    for sock in sockets:
        sock.close()
