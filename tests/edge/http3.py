"""One request over HTTP/3 (RFC 9114), by a client that has no other protocol: http3.py ROOT URL [NAME:VALUE]...

The answer is printed as `curl --include` does. Where nothing answers within five seconds, it says so and ends with 1. Runs in the lab's
Python, which has aioquic.
"""

import asyncio
import sys
import urllib.parse

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

PATIENCE = 5  # seconds


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.headers, self.body = [], b""
        self.whole = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        for told in self.http.handle_event(event):
            if isinstance(told, HeadersReceived):
                self.headers += told.headers
            elif isinstance(told, DataReceived):
                self.body += told.data
            if isinstance(told, (HeadersReceived, DataReceived)) and told.stream_ended:
                self.whole.set_result(None)

    async def get(self, url, more):
        target = url.path + (f"?{url.query}" if url.query else "")
        words = [(":method", "GET"), (":scheme", "https"), (":authority", url.netloc), (":path", target), *more]
        stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in words], end_stream=True)
        self.transmit()
        await self.whole


async def ask(root, url, more):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN)
    configuration.load_verify_locations(cafile=root)
    async with asyncio.timeout(PATIENCE):
        async with connect(url.hostname, url.port or 443, configuration=configuration, create_protocol=Client) as client:
            await client.get(url, more)
    status = next(value for name, value in client.headers if name == b":status")
    print(f"HTTP/3 {status.decode()}")
    for name, value in client.headers:
        if not name.startswith(b":"):
            print(f"{name.decode()}: {value.decode()}")
    print()
    sys.stdout.write(client.body.decode())


try:
    headers = [word.split(":", 1) for word in sys.argv[3:]]
    more = [(name.lower(), value.strip()) for name, value in headers]
    asyncio.run(ask(sys.argv[1], urllib.parse.urlsplit(sys.argv[2]), more))
except (TimeoutError, ConnectionError):
    sys.exit("no answer over HTTP/3")
