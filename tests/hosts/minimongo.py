"""A test double of MongoDB: its wire protocol over TCP, with mongomock behind it.

Unmodified pymongo talks to it. It knows what Sacred's
observer and our report send, no more.
Usage: ``python minimongo.py`` prints the port it listens on.
"""

from __future__ import annotations

import socketserver
import struct
import threading

import bson
import mongomock

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
CHECKSUM_PRESENT, MORE_TO_COME = 1, 2
STORE = mongomock.MongoClient()
LOCK = threading.Lock()
HELLO = {
    "helloOk": True, "isWritablePrimary": True, "ismaster": True, "ok": 1.0, "readOnly": False,
    "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "connectionId": 1,
    "maxWriteBatchSize": 100_000, "logicalSessionTimeoutMinutes": 30, "minWireVersion": 0,
    "maxWireVersion": 21,
}  # fmt: skip


def answer(command):
    """The reply to one command document."""
    name = next(iter(command))
    if name.lower() in ("hello", "ismaster"):
        return dict(HELLO)
    if name in ("ping", "endSessions", "killCursors", "createIndexes"):
        return {"ok": 1.0}
    if name == "buildInfo":
        return {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "ok": 1.0}
    handler = HANDLERS.get(name)
    if handler is None:
        return {"ok": 0.0, "errmsg": f"no such command: {name}", "code": 59}
    database = STORE[command["$db"]]
    return {"ok": 1.0, **handler(database, command, command[name])}


def list_collections(database, command, _):
    names = [{"name": name, "type": "collection"} for name in database.list_collection_names()]
    return cursor(f"{command['$db']}.$cmd.listCollections", names)


def list_indexes(database, command, name):
    return cursor(f"{command['$db']}.{name}", [{"v": 2, "key": {"_id": 1}, "name": "_id_"}])


def insert(database, command, name):
    for index, document in enumerate(command["documents"]):
        try:
            database[name].insert_one(document)
        except mongomock.DuplicateKeyError as error:
            problem = {"index": index, "code": 11000, "errmsg": str(error)}
            return {"n": index, "writeErrors": [problem]}
    return {"n": len(command["documents"])}


def update(database, command, name):
    matched = modified = 0
    upserted = []
    for index, change in enumerate(command["updates"]):
        collection = database[name]
        apply = collection.update_many if change.get("multi") else collection.update_one
        result = apply(change["q"], change["u"], upsert=change.get("upsert", False))
        modified += result.modified_count or 0
        matched += result.matched_count
        if result.upserted_id is not None:
            upserted.append({"index": index, "_id": result.upserted_id})
    reply = {"n": matched + len(upserted), "nModified": modified}
    return {**reply, "upserted": upserted} if upserted else reply


def delete(database, command, name):
    deleted = 0
    for asked in command["deletes"]:
        collection = database[name]
        remove = collection.delete_one if asked.get("limit") else collection.delete_many
        deleted += remove(asked["q"]).deleted_count
    return {"n": deleted}


def find(database, command, name):
    documents = database[name].find(command.get("filter") or {}, command.get("projection") or None)
    if command.get("sort"):
        documents = documents.sort(list(command["sort"].items()))
    if command.get("limit"):
        documents = documents.limit(abs(command["limit"]))
    return cursor(f"{command['$db']}.{name}", list(documents))


def aggregate(database, command, name):
    documents = list(database[name].aggregate(list(command["pipeline"])))
    return cursor(f"{command['$db']}.{name}", documents)


def count(database, command, name):
    return {"n": database[name].count_documents(command.get("query") or {})}


def cursor(namespace, documents):
    return {"cursor": {"id": bson.Int64(0), "ns": namespace, "firstBatch": documents}}


HANDLERS = {
    "listCollections": list_collections, "listIndexes": list_indexes, "insert": insert,
    "update": update, "find": find, "aggregate": aggregate, "count": count,
    "delete": delete,
}  # fmt: skip


def parse(body):
    """Flags and command of an OP_MSG body: one document, and sequences that belong into it."""
    (flags,) = struct.unpack_from("<I", body)
    position, end = 4, len(body) - (4 if flags & CHECKSUM_PRESENT else 0)
    command, sequences = {}, {}
    while position < end:
        kind = body[position]
        (size,) = struct.unpack_from("<i", body, position + 1)
        section = body[position + 1 : position + 1 + size]
        if kind == 0:
            command = bson.decode(section)
        else:
            name_end = section.index(b"\0", 4)
            sequences[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :])
        position += 1 + size
    return flags, {**command, **sequences}


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while header := self.rfile.read(16):
            size, request, _, kind = struct.unpack("<iiii", header)
            body = self.rfile.read(size - 16)
            if kind == OP_QUERY:  # only the first greeting
                reply, reply_kind = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(HELLO), OP_REPLY
            else:
                flags, command = parse(body)
                with LOCK:
                    document = answer(command)
                if flags & MORE_TO_COME:
                    continue
                reply, reply_kind = struct.pack("<IB", 0, 0) + bson.encode(document), OP_MSG
            self.wfile.write(struct.pack("<iiii", 16 + len(reply), 0, request, reply_kind) + reply)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that goes away is no error."""


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Connection) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
