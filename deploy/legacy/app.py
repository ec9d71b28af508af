"""A small legacy service: it responds, rejects requests, crashes and hangs, and its errors show internals."""
import sqlite3
import time

from flask import Flask, jsonify

app = Flask(__name__)


def database():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)")
    connection.execute("INSERT INTO orders VALUES (7, 'lock gate')")
    return connection


@app.get("/orders/<int:number>")
def order(number):
    if number == 0:
        return jsonify(error="ORDER_MISSING", message="There is no order 0."), 404
    # A missing order causes a crash, because fetchone() returns None.
    item = database().execute("SELECT item FROM orders WHERE id = ?", (number,)).fetchone()[0]
    return jsonify(id=number, item=item)


@app.post("/orders")
def create():
    database().execute("INSERT INTO orders VALUES (7, 'again')")
    return jsonify(id=7), 201


@app.get("/report")
def report():
    time.sleep(30)
    return jsonify(rows=[])
