"""The pages of the site. Every view is a visit that the backend counts."""

import json
import os
import signal
import sys
import urllib.error
import urllib.request

from flask import Flask, abort, render_template_string

BACKEND = os.environ.get("BACKEND", "http://backend:8000")

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid #8884; }
</style>
<h1>{{ title }}</h1>
<p><a href="/">Home</a> · <a href="/about">About</a></p>
<table>
<tr><th>page</th><th>visits</th></tr>
{% for row in pages %}<tr><td>{{ row.page }}</td><td>{{ row.visits }}</td></tr>
{% endfor %}</table>
</html>
"""

app = Flask(__name__)


def ask(path, body=None):
    """JSON from the backend; a body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BACKEND + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@app.get("/", defaults={"page": ""})
@app.get("/<page>")
def show(page):
    titles = {"": "Analytics", "about": "About"}
    if page not in titles:
        abort(404)
    try:
        ask("/api/visits", {"page": f"/{page}"})
        return render_template_string(PAGE, title=titles[page], pages=ask("/api/pages"))
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"frontend: the backend does not answer: {error}", flush=True)
        abort(503)


@app.get("/health")
def health():
    return {"status": "healthy"}


if __name__ == "__main__":
    # The first process of a container ignores signals that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="0.0.0.0", port=5000, threaded=True)
