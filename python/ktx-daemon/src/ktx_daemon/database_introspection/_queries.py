"""The three catalog queries.

All read `pg_catalog`, which any role sees whole; `information_schema` hides what the role may not use.
"""

from __future__ import annotations

from ktx_daemon.database_introspection._connection import Snapshot
from ktx_daemon.database_introspection._rows import DatabaseIntrospectionRows

__all__ = ["read_rows"]

# Ordinary and partitioned tables, partitions among them.
_CHOSEN = """
  n.nspname::text = ANY (%(schemas)s::text[])
  AND c.relkind IN ('r', 'p')
  AND (%(names)s::text[] IS NULL OR c.relname::text = ANY (%(names)s::text[]))
"""

_SCHEMAS = """
SELECT n.nspname::text AS db FROM pg_catalog.pg_namespace n WHERE n.nspname::text = ANY (%(schemas)s::text[])
"""

_TABLES = f"""
SELECT pg_catalog.current_database()::text AS catalog,
       n.nspname::text AS db,
       c.relname::text AS name,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {_CHOSEN}
"""

_COLUMNS = f"""
SELECT n.nspname::text AS db,
       c.relname::text AS table_name,
       a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS nullable,
       COALESCE(a.attnum = ANY (i.indkey::pg_catalog.int2[]), false) AS primary_key,
       pg_catalog.col_description(c.oid, a.attnum) AS comment
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE {_CHOSEN}
ORDER BY c.oid, a.attnum
"""

# A foreign key to a partitioned table has a copy for each partition, on the same referencing table.
_FOREIGN_KEYS = f"""
SELECT n.nspname::text AS db,
       c.relname::text AS table_name,
       k.conname::text AS constraint_name,
       own.attname::text AS from_column,
       tn.nspname::text AS to_db,
       tc.relname::text AS to_table,
       target.attname::text AS to_column
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class tc ON tc.oid = k.confrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
CROSS JOIN LATERAL ROWS FROM (
  pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)
) WITH ORDINALITY AS pair (own, target, place)
JOIN pg_catalog.pg_attribute own ON own.attrelid = k.conrelid AND own.attnum = pair.own
JOIN pg_catalog.pg_attribute target ON target.attrelid = k.confrelid AND target.attnum = pair.target
LEFT JOIN pg_catalog.pg_constraint parent ON parent.oid = k.conparentid
WHERE k.contype = 'f' AND (parent.oid IS NULL OR parent.conrelid <> k.conrelid) AND {_CHOSEN}
ORDER BY c.oid, k.conname, pair.place
"""


def read_rows(snapshot: Snapshot, schemas: list[str], names: list[str] | None) -> DatabaseIntrospectionRows:
    """Rows of the schemas, of tables called one of `names` if given."""
    parameters: dict[str, object] = {"schemas": schemas, "names": names}
    known = {row["db"] for row in snapshot.rows(_SCHEMAS, parameters)}
    return DatabaseIntrospectionRows(
        table_rows=snapshot.rows(_TABLES, parameters),
        column_rows=snapshot.rows(_COLUMNS, parameters),
        foreign_key_rows=snapshot.rows(_FOREIGN_KEYS, parameters),
        unknown_schemas=[schema for schema in schemas if schema not in known],
    )
