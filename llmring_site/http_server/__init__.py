"""HTTP/1.1 for uvicorn's server.

protocol → request_reader → cycle → response_head: a connection, the requests that are read
from it, one request with its response, and the response's head. own_reply: errors that no
application replies with.

By hand upon httptools, which reads requests for uvicorn as well. uvicorn's own protocol takes
6 % more processor time for a log, loses the body of a request that offers HTTP/2 as
Java's client does, sends chunks to HTTP/1.0, and takes a head of any length for as long as it
comes. uvicorn still opens the sockets, hears the signals and waits for what runs.
"""
