"""The journal's tables, and the arrays they are read into: one description for the writer and the reader.

The tables are append-only, and triggers hold every writer to it: what was recorded is not changed afterwards.
"""

import numpy as np

FORMAT = 2
APPLICATION_ID = 0x48494C31  # "HIL1", in the file's header: tells a journal from any other SQLite file

JOURNAL = "journal.sqlite"
HEADER = "run.yaml"

COST_FIELDS = ("pulses", "half_selects", "reads", "transactions", "seconds", "joules")
_COST = dict.fromkeys(COST_FIELDS[:4], "INTEGER") | dict.fromkeys(COST_FIELDS[4:], "REAL")

COLUMNS: dict[str, dict[str, str]] = {
    "training": {
        "step": "INTEGER",
        "samples": "INTEGER",
        "epoch": "INTEGER",
        "loss": "REAL",
        "accuracy": "REAL",
        "clipped": "INTEGER",
        "cosine": "REAL",
        "drift": "REAL",
        "nudge": "REAL",
        "residue": "REAL",
    },
    "evaluation": {
        "step": "INTEGER",
        "samples": "INTEGER",
        "epoch": "INTEGER",
        "loss": "REAL",
        "accuracy": "REAL",
        "images": "INTEGER",
        "clipped": "INTEGER",
    },
    "update_noise": {
        "step": "INTEGER",
        "layer": "INTEGER",
        "raw": "REAL",
        "normalised": "REAL",
        "synapses": "INTEGER",
    },
    "cost": {"moment": "TEXT", "number": "INTEGER", "op": "TEXT"} | _COST,
    "event": {"step": "INTEGER", "kind": "TEXT", "text": "TEXT"},
    "snapshot": {"step": "INTEGER", "moment": "TEXT", "array": "TEXT", "data": "BLOB"},
    "intent": {"step": "INTEGER", "pulses": "INTEGER", "ops": "TEXT"},
    "done": {"intent": "INTEGER UNIQUE"} | _COST,
    "dose": {"array": "TEXT UNIQUE", "data": "BLOB"},
    "finish": {"status": "TEXT", "summary": "TEXT"},
}


def _names(table: str) -> str:
    return ", ".join(f'"{name}"' for name in COLUMNS[table])


INSERT = {
    table: f"INSERT INTO {table} ({_names(table)}) VALUES ({', '.join('?' * len(columns))})"
    for table, columns in COLUMNS.items()
}
SELECT = {table: f"SELECT {_names(table)} FROM {table} ORDER BY id" for table in COLUMNS}

_KINDS = {"INTEGER": "i8", "REAL": "f8"}


def script() -> str:
    """Give the SQL that makes an empty journal."""
    lines = [f"PRAGMA application_id = {APPLICATION_ID};", f"PRAGMA user_version = {FORMAT};"]
    for table, columns in COLUMNS.items():
        # SQLite stores NaN as NULL, so REAL columns alone may be empty.
        body = ", ".join(
            f'"{name}" {kind}' + ("" if kind == "REAL" else " NOT NULL") for name, kind in columns.items()
        )
        lines.append(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {body});")
        lines += [
            f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;"
            for verb in ("update", "delete")
        ]
    return "\n".join(lines)


def dtype(table: str) -> np.dtype[np.void]:
    """Give the fields of a table of numbers as a structured numpy type."""
    return np.dtype([(name, _KINDS[kind]) for name, kind in COLUMNS[table].items()])
