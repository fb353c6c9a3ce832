"""Counts visits in DuckDB: one file on a volume, written by this one process.

    POST /api/visits            {"page": "/about", "seconds": 3.5}
    GET  /api/visits            how many there are, and the last ones
    GET  /api/pages             visits and time by page
    GET  /api/health
"""

import asyncio
import contextlib
import os
import threading

import duckdb
from fastapi import FastAPI
from pydantic import BaseModel, Field

SCHEMA = """
CREATE TABLE IF NOT EXISTS visits (
    page    VARCHAR NOT NULL,
    seconds DOUBLE NOT NULL,
    visited TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""

database = None
# DuckDB takes one writer at a time.
turn = threading.Lock()


def query(statement, values=()):
    with turn:
        return database.execute(statement, values).fetchall()


@contextlib.asynccontextmanager
async def open_database(app):
    """The file is opened once, and closed when the program is told to end: closing writes everything into the one file."""
    global database
    database = duckdb.connect(os.environ.get("DUCKDB_FILE", "analytics.duckdb"))
    database.execute(SCHEMA)
    yield
    with turn:
        database.close()


class Visit(BaseModel):
    page: str = Field(min_length=1, max_length=200, pattern="^/")
    seconds: float = Field(default=0, ge=0, le=86400)


app = FastAPI(title="Analytics", lifespan=open_database, docs_url="/api/docs", openapi_url="/api/openapi.json")


@app.post("/api/visits", status_code=201)
def add(visit: Visit):
    query("INSERT INTO visits (page, seconds) VALUES (?, ?)", (visit.page, visit.seconds))
    return visit


@app.get("/api/visits")
def visits():
    [(count,)] = query("SELECT count(*) FROM visits")
    last = query("SELECT page, seconds, visited::VARCHAR FROM visits ORDER BY visited DESC LIMIT 20")
    return {"count": count, "last": [dict(zip(("page", "seconds", "visited"), row)) for row in last]}


@app.get("/api/pages")
def pages():
    rows = query("SELECT page, count(*), sum(seconds) FROM visits GROUP BY page ORDER BY 2 DESC, 1")
    return [dict(zip(("page", "visits", "seconds"), row)) for row in rows]


@app.get("/api/health")
async def health():
    await asyncio.to_thread(query, "SELECT 1")
    return {"status": "healthy"}
