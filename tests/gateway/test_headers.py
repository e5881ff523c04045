"""Headers that stay on one side of the gateway."""

import pytest

from tests.gateway.upstream import DONE, USAGE_CHUNK, chat, content, reply, stop, stream

ADDRESSES = [
    *("Client-IP", "CloudFront-Viewer-Address", "Fastly-Client-IP", "Fly-Client-IP", "Remote-Addr"),
    *("True-Client-IP", "WL-Proxy-Client-IP", "X-AppEngine-User-IP", "X-Azure-ClientIP"),
    *("X-Azure-SocketIP", "X-Cluster-Client-IP", "X-Envoy-External-Address", "X-Forwarded"),
    *(
        "X-NF-Client-Connection-IP",
        "X-Original-Forwarded-For",
        "X-Originating-IP",
        "X-ProxyUser-IP",
    ),
    *("X-Remote-Addr", "X-Remote-IP", "X-Vercel-Forwarded-For", "X-Vercel-IP-City", "X-IP"),
]
NO_ADDRESSES = [
    *("HTTP-Referer", "X-Client-Name", "X-IP-Version", "X-MS-Client-Request-ID", "X-Recipe"),
    *("X-Title", "X-User-ID"),
]


def test_no_header_tells_the_upstream_where_its_client_is(gateway, mock):
    """Whatever proxy stands in front of this server."""
    mock.script = reply(chat())
    gateway.chat(headers=dict.fromkeys([*ADDRESSES, *NO_ADDRESSES], "203.0.113.7"))
    sent = {name.lower() for name, _ in mock.requests[0].headers}
    assert not sent & {name.lower() for name in ADDRESSES}
    assert sent >= {name.lower() for name in NO_ADDRESSES}


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_no_header_of_an_upstream_is_for_this_servers_host(gateway, mock, is_stream):
    """Neither for a browser, which would clear its cookies, nor for a proxy that gives files."""
    stated = {
        "Clear_Site_Data": '"*"',
        "NEL": '{"report_to": "theirs"}',
        "Refresh": "0; url=https://theirs.test",
        "Report_To": '{"group": "theirs"}',
        "Service_Worker_Allowed": "/",
        "Strict_Transport_Security": "max-age=31536000; includeSubDomains; preload",
        "X_Accel_Redirect": "/protected/file",
        "X_Sendfile": "/etc/hostname",
    }
    pieces = [content("Hi"), stop(), USAGE_CHUNK, DONE]
    mock.script = stream(*pieces, **stated) if is_stream else reply(chat(), **stated)
    answer = gateway.chat(stream=is_stream, headers={"Origin": "https://app.test"})
    names = {name.replace("_", "-").lower() for name in stated}
    assert not names & {name.lower() for name in answer.headers}
    exposed = answer.headers.get("Access-Control-Expose-Headers", "")
    assert not names & set(exposed.split(", "))
