"""What API and workers share: secrets, the database, and what is encrypted in it."""

import base64
import hashlib
import json
import sys
import time

import psycopg2
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

# Each is run once, in this order.
MIGRATIONS = [
    """CREATE TABLE products (name text PRIMARY KEY, price integer NOT NULL);
       CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email bytea NOT NULL)""",
    "CREATE TABLE seeds (at timestamptz NOT NULL DEFAULT now())",
]


def log(event, **more):
    """One line of JSON on standard output."""
    print(json.dumps({"time": time.strftime("%FT%TZ", time.gmtime()), "event": event, **more}), file=sys.stdout, flush=True)


def secret(name):
    with open(f"/run/secrets/{name}", encoding="utf-8") as text:
        return text.read().strip()


def connect():
    """To be used as `with closing(connect()) as db, db:`, which commits."""
    return psycopg2.connect(secret("database_url"), connect_timeout=10)


def keys():
    """The present master key first, then those that are being rotated out."""
    texts = [secret("master_key"), *secret("master_keys_before").split()]
    return [Fernet(base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())) for text in texts]


def safe():
    """Encrypts with the present master key, decrypts with any."""
    return MultiFernet(keys())


def migrate(db):
    """Brings the tables to this version: how many steps that took."""
    with db, db.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(1); CREATE TABLE IF NOT EXISTS migrations "
                       "(number integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())")
        cursor.execute("SELECT count(*) FROM migrations")
        (done,) = cursor.fetchone()
        for number, statement in list(enumerate(MIGRATIONS, 1))[done:]:
            cursor.execute(statement)
            cursor.execute("INSERT INTO migrations (number) VALUES (%s)", (number,))
        return len(MIGRATIONS) - done


def seed(db):
    """The first products. Whoever runs it a second time has it on record."""
    with db, db.cursor() as cursor:
        cursor.execute("INSERT INTO seeds DEFAULT VALUES")
        cursor.execute("INSERT INTO products VALUES ('kettle', 4900), ('teapot', 3900), ('cup', 900) ON CONFLICT DO NOTHING")


def encrypt_anew(db):
    """Everything under the present key: how many were under another. Afterwards the key before may go."""
    present = keys()[0]
    with db, db.cursor() as cursor:
        cursor.execute("SELECT id, email FROM customers FOR UPDATE")
        old = 0
        for number, email in cursor.fetchall():
            try:
                present.decrypt(bytes(email))
            except InvalidToken:
                cursor.execute("UPDATE customers SET email = %s WHERE id = %s", (safe().rotate(bytes(email)), number))
                old += 1
        return old
