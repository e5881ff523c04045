"""HTTP/1.1 for uvicorn's server.

protocol → request_reader → cycle → response_head: a connection, the requests that are read
from it, one request with its response, and the response's head. own_reply: the errors that
this server replies with itself.

It is written on httptools, as uvicorn's protocol is. That one takes 6 % more processor time for
a log, loses the body of a request that offers HTTP/2 as Java's client does, sends chunks to
HTTP/1.0, and accepts a head of any length, however slowly it arrives. uvicorn still serves the
sockets, handles signals and waits for running requests.
"""
