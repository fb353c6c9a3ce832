"""Programs behind the edge, and one that speaks to it: peers.py serve | websocket HOST PATH ROOT

HTTP on 8000 (web) and 3000 (panel): what came is told back. A WebSocket at /socket that sends everything back. An oauth2-proxy of a
kind on 4180. On 9000 HTTP/2 without TLS, as gRPC speaks it: one message comes back, with its status in trailers. Standard library
alone.
"""

import base64
import hashlib
import http.server
import os
import socket
import ssl
import struct
import sys
import threading

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Web(Handler):
    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.websocket()
        read = self.body()
        if read is None:
            return None
        if self.path.startswith("/busy"):
            return self.answer(503, b"the application is busy\n")
        told = [f"{self.command} {self.path}", f"port {self.server.server_port}", f"body {read}"]
        told += [f"{name.lower()}: {value}" for name, value in self.headers.items()]
        body = "\n".join(told).encode() + b"\n"
        return self.answer(200, body, Content_Type="text/plain", X_Powered_By="Python", X_Frame_Options="ALLOW")

    do_POST = do_PUT = do_HEAD = do_GET

    def body(self):
        """How much of it there was; none when it was cut off."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            size = int(self.headers.get("Content-Length") or 0)
            return size if len(self.rfile.read(size)) == size else None
        read = 0
        while line := self.rfile.readline():
            size = int(line, 16)
            if len(self.rfile.read(size + 2)) < size + 2:
                return None
            read += size
            if size == 0:
                return read
        return None

    def websocket(self):
        key = self.headers["Sec-WebSocket-Key"] + GUID
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while (message := receive(self.rfile)) is not None:
            self.wfile.write(frame(message, masked=False))
            self.wfile.flush()
        self.close_connection = True


class Proxy(Handler):
    """What oauth2-proxy answers: 202 with who it is, or 401."""

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/oauth2/auth":
            if "session=ann" not in self.headers.get("Cookie", ""):
                return self.answer(401, b"")
            return self.answer(202, b"", X_Auth_Request_User="ann")
        return self.answer(200, f"sign in: {self.path}\n".encode())


def frame(message, masked):
    """One text frame (RFC 6455), shorter than 126 bytes."""
    if not masked:
        return bytes([0x81, len(message)]) + message
    key = os.urandom(4)
    return bytes([0x81, 0x80 | len(message)]) + key + bytes(b ^ key[i % 4] for i, b in enumerate(message))


def receive(stream):
    head = stream.read(2)
    if len(head) < 2 or head[0] & 0x0F == 8:
        return None
    key = stream.read(4) if head[1] & 0x80 else b"\0\0\0\0"
    return bytes(b ^ key[i % 4] for i, b in enumerate(stream.read(head[1] & 0x7F)))


def rpc(connection):
    """One connection of HTTP/2 (RFC 9113): every message of every stream goes back, then `grpc-status: 0` in the trailers."""

    def send(kind, flags, stream, payload):
        connection.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def literal(name, value):
        return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value

    stream = connection.makefile("rb")
    if stream.read(24) != b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        return connection.close()
    send(4, 0, 0, b"")
    bodies = {}
    while len(head := stream.read(9)) == 9:
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        number = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        payload = stream.read(size)
        if kind == 4 and not flags & 1:
            send(4, 1, 0, b"")
        elif kind == 6 and not flags & 1:
            send(6, 1, 0, payload)
        elif kind == 0:
            padding = payload[0] + 1 if flags & 8 else 0
            bodies[number] = bodies.get(number, b"") + payload[1 if padding else 0 : size - max(padding - 1, 0)]
        if kind in (0, 1) and flags & 1:
            send(1, 4, number, b"\x88" + literal(b"content-type", b"application/grpc"))
            send(0, 0, number, bodies.pop(number, b""))
            send(1, 5, number, literal(b"grpc-status", b"0") + literal(b"grpc-message", b"fine"))
    return connection.close()


def serve():
    for port, handler in ((8000, Web), (3000, Web), (4180, Proxy)):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 9000))
    print("ready", flush=True)
    while True:
        threading.Thread(target=rpc, args=(listener.accept()[0],), daemon=True).start()


def websocket(host, path, root):
    context = ssl.create_default_context(cafile=root)
    plain = socket.create_connection((host, 443), timeout=10)
    connection = context.wrap_socket(plain, server_hostname=host)
    stream = connection.makefile("rb")
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    connection.sendall("\r\n".join(lines).encode())
    print(stream.readline().decode().strip())
    while stream.readline().strip():
        pass
    for message in (b"one", b"two"):
        connection.sendall(frame(message, masked=True))
        print(receive(stream).decode())


if sys.argv[1] == "serve":
    serve()
else:
    websocket(*sys.argv[2:])
