#!/usr/bin/env python3
"""A guestbook: one page that writes to PostgreSQL and reads it back.

    app.py            serve on port 8000 (or $PORT)
    app.py migrate    create the table; may run before every deploy
    app.py seed       put a first entry into an empty guestbook

DATABASE_URL names the database. Logs go to stdout, one line a request.
"""

import html
import http.server
import json
import os
import signal
import sys
import time
import urllib.parse

import psycopg2

PORT = int(os.environ.get("PORT", "8000"))
MAX_BODY = 16 * 1024  # bytes; more than a long name and a long message need
MAX_NAME, MAX_MESSAGE, SHOWN = 80, 2000, 100

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    message    text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
)
"""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Guestbook</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --ink: #1d2433; --quiet: #667085; --page: #f5f6fa; --card: #fff; --line: #e3e6ee;
         --accent: #3b5bdb; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e9f2; --quiet: #98a2b8; --page: #10131b; --card: #191e2a; --line: #2a3142; --accent: #91a7ff; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }}
main {{ max-width: 40rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }}
h1 {{ margin: 0; font-size: 2rem; letter-spacing: -.02em; }}
header p {{ margin: .25rem 0 2rem; color: var(--quiet); }}
form, article {{ background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.25rem; }}
form {{ display: grid; gap: .75rem; margin-bottom: 2rem; }}
label {{ display: grid; gap: .25rem; font-size: .85rem; color: var(--quiet); }}
input, textarea {{ font: inherit; color: var(--ink); background: var(--page); border: 1px solid var(--line);
                   border-radius: 8px; padding: .55rem .7rem; width: 100%; resize: vertical; }}
:focus-visible {{ outline: 2px solid var(--accent); outline-offset: 1px; }}
button {{ justify-self: start; font: inherit; font-weight: 600; color: var(--card); background: var(--accent); border: 0;
          border-radius: 8px; padding: .55rem 1.1rem; cursor: pointer; }}
article {{ margin-bottom: .75rem; }}
article p {{ margin: .25rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }}
time, footer, .empty {{ color: var(--quiet); font-size: .85rem; }}
article time {{ float: right; }}
footer {{ margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }}
</style>
<main>
<header><h1>Guestbook</h1><p>Every line below comes from PostgreSQL.</p></header>
<form method="post" action="/entries">
<label>Your name <input name="name" required maxlength="{max_name}" autocomplete="name"></label>
<label>Message <textarea name="message" rows="3" required maxlength="{max_message}"></textarea></label>
<button>Sign the guestbook</button>
</form>
{entries}
<footer>{count} · answered by {host}</footer>
</main>
</html>
"""

ENTRY = '<article><time datetime="{iso}">{shown}</time><strong>{name}</strong><p>{message}</p></article>'


def query(statement, values=(), rows=True):
    """Run one statement in a transaction of its own and return its rows."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=15)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if rows else []
    finally:
        connection.close()


def entries():
    found = query("SELECT id, name, message, written_at FROM entries ORDER BY id DESC LIMIT %s", (SHOWN,))
    return [{"id": i, "name": name, "message": message, "written_at": at.isoformat()} for i, name, message, at in found]


def add(name, message):
    return query("INSERT INTO entries (name, message) VALUES (%s, %s) RETURNING id", (name, message))[0][0]


def page():
    found = entries()
    articles = "\n".join(
        ENTRY.format(iso=entry["written_at"], shown=entry["written_at"][:16].replace("T", " "),
                     name=html.escape(entry["name"]), message=html.escape(entry["message"])) for entry in found)
    return PAGE.format(entries=articles or '<p class="empty">Nobody has signed yet.</p>', max_name=MAX_NAME,
                       max_message=MAX_MESSAGE, host=html.escape(os.uname().nodename),
                       count=f"{len(found)} {'entry' if len(found) == 1 else 'entries'}")


class Refused(Exception):
    """What the client sent cannot be accepted; carries the status and the reason."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status, self.reason = status, reason


class Guestbook(http.server.BaseHTTPRequestHandler):
    """The routes: / for people, /entries for people and programs, /healthz for the health check, and /headers, which
    shows what the edge says of a request."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "guestbook", ""
    timeout = 30  # seconds that an idle connection may hold a thread

    def do_GET(self):
        self.answer({"/": self.show, "/entries": self.list, "/headers": self.received, "/healthz": self.health})

    do_HEAD = do_GET

    def do_POST(self):
        self.answer({"/entries": self.sign})

    def answer(self, routes):
        route = routes.get(urllib.parse.urlsplit(self.path).path)
        try:
            if route is None:
                raise Refused(404, "there is no such page")
            route()
        except Refused as refused:
            self.close_connection = True  # the body may not have been read
            self.send_json(refused.status, {"error": refused.reason})
        except psycopg2.Error as error:
            print(f"database: {error}".strip(), flush=True)
            self.close_connection = True
            self.send_json(503, {"error": "the database does not answer"})

    def show(self):
        self.send(200, "text/html; charset=utf-8", page().encode())

    def list(self):
        self.send_json(200, entries())

    def received(self):
        self.send_json(200, [[name, value] for name, value in self.headers.items()])

    def health(self):
        query("SELECT 1")
        self.send_json(200, {"status": "ok"})

    def sign(self):
        is_json, fields = self.body()
        name, message = (str(fields.get(key, "")).replace("\0", "").strip() for key in ("name", "message"))
        if not name or not message:
            raise Refused(422, "name and message must not be empty")
        if len(name) > MAX_NAME or len(message) > MAX_MESSAGE:
            raise Refused(422, f"name has at most {MAX_NAME} characters, message at most {MAX_MESSAGE}")
        new = add(name, message)
        if is_json:
            self.send_json(201, {"id": new, "name": name, "message": message})
        else:
            self.send(303, "text/plain", b"", {"Location": "/"})

    def body(self):
        """Whether the body is JSON, and its fields."""
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            raise Refused(411, "the request needs a Content-Length") from None
        if not 0 <= length <= MAX_BODY:
            raise Refused(413, f"a request has at most {MAX_BODY} bytes")
        raw = self.rfile.read(length)
        is_json = self.headers.get_content_type() == "application/json"
        try:
            fields = json.loads(raw) if is_json else dict(urllib.parse.parse_qsl(raw.decode()))
        except ValueError:
            raise Refused(400, "the body is neither valid JSON nor a form") from None
        if not isinstance(fields, dict):
            raise Refused(400, "the body must be an object with name and message")
        return is_json, fields

    def send_json(self, status, value):
        self.send(status, "application/json", json.dumps(value).encode() + b"\n")

    def send(self, status, kind, data, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), "Cache-Control": "no-store",
                            "X-Content-Type-Options": "nosniff", **(headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format, *args):
        client = self.headers.get("X-Forwarded-For", self.client_address[0]) if hasattr(self, "headers") else "-"
        print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), client, format % args, flush=True)


def serve():
    # The process is the container's first, which ignores signals that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    http.server.ThreadingHTTPServer.daemon_threads = True
    print(f"guestbook: listening on port {PORT}", flush=True)
    http.server.ThreadingHTTPServer(("", PORT), Guestbook).serve_forever()


def migrate():
    query(SCHEMA, rows=False)
    print("migrate: the table entries is there", flush=True)


def seed():
    added = query("INSERT INTO entries (name, message) SELECT %s, %s WHERE NOT EXISTS (SELECT FROM entries) RETURNING id",
                  ("provision", "Welcome! This machine came up from one file."))
    print(f"seed: {len(added)} entries added", flush=True)


def main():
    commands = {(): serve, ("migrate",): migrate, ("seed",): seed}
    command = commands.get(tuple(sys.argv[1:]))
    if command is None:
        sys.exit(__doc__)
    if "DATABASE_URL" not in os.environ:
        sys.exit("app.py: DATABASE_URL is not set (postgresql://user:password@host/database)")
    try:
        command()
    except psycopg2.Error as error:
        sys.exit(f"app.py: failed to talk to the database: {str(error).strip()}")


if __name__ == "__main__":
    main()
