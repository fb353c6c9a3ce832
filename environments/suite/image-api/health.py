"""Asks a GraphQL API how it is: health.py URL. An answer alone is not enough, its body must say that it is healthy."""

import json
import sys
import urllib.request

question = urllib.request.Request(sys.argv[1], b'{"query": "{ health }"}', {"Content-Type": "application/json"})
with urllib.request.urlopen(question, timeout=10) as answer:
    said = json.load(answer)
if said != {"data": {"health": "healthy"}}:
    sys.exit(f"it says {said}")
