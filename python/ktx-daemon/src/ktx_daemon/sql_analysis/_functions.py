"""Functions that change state, leave the database or hold its resources, by dialect.

Names are matched on their last part, in lower case, however they were quoted. A `*` matches any run of
characters. Sources: the function lists of each database's manual.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType

__all__ = ["QUALIFIED_SEQUENCES", "TABLE_FUNCTIONS", "has_side_effects", "is_path_like"]

_POSTGRES = (
    "nextval setval set_config lo_* loread lowrite dblink* *_to_xml* ts_stat ts_rewrite crosstab* connectby pg_* "
    "brin_summarize_* brin_desummarize_* gin_clean_pending_list heap_force_* binary_upgrade_*"
)
_POSTGRES_HARMLESS = "pg_typeof pg_get_* pg_is_* pg_stat_get_* pg_size_* pg_*_size pg_*_is_visible"
_MYSQL = "load_file sleep benchmark *_lock* *_pos_wait wait_for_executed_gtid_set wait_until_sql_thread_after_gtids"
# PRAGMA functions run the pragma, and `optimize` among them writes; those about the schema only read.
_SQLITE = "load_extension readfile writefile edit fts3_tokenizer optimize pragma_*"
_SQLITE_HARMLESS = (
    "pragma_table_info pragma_table_xinfo pragma_table_list pragma_index_list pragma_index_info pragma_index_xinfo "
    "pragma_foreign_key_list pragma_database_list pragma_function_list pragma_module_list pragma_collation_list "
    "pragma_pragma_list pragma_compile_options"
)
_DUCKDB = (
    "getenv nextval setval write_log setseed sleep_ms pg_sleep json_execute_serialized_sql query query_table "
    "read_* *_scan *_scan_* parquet_* sniff_csv checkpoint force_checkpoint enable_* disable_* *_external_resource* "
    "*_grammar_extension truncate_* which_secret load_aws_credentials st_read* python_map_function"
)
_CLICKHOUSE = "getenv file sleep sleepeachrow executable catboostevaluate"
_OTHER = "system$* external_query read_files http_request reflect java_method getnextval"

_DENIED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("postgres", "redshift", "materialize", "risingwave"), _POSTGRES),
        **dict.fromkeys(("mysql", "doris", "starrocks", "singlestore"), _MYSQL),
        "sqlite": _SQLITE,
        **dict.fromkeys(("tsql", "fabric"), "openrowset openquery opendatasource"),
        "duckdb": _DUCKDB,
        "clickhouse": _CLICKHOUSE,
        # `TABLE(system.query(...))` sends any text to the connected database.
        **dict.fromkeys(("trino", "presto", "athena"), "query raw_query"),
    }
)
_HARMLESS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("postgres", "redshift", "materialize", "risingwave"), _POSTGRES_HARMLESS),
        "sqlite": _SQLITE_HARMLESS,
    }
)

# What may stand for a table where a table function can read files, URLs and other databases.
_GENERATORS = frozenset({"unnest", "generate_series", "range", "numbers", "zeros", "values"})
TABLE_FUNCTIONS: Mapping[str, frozenset[str]] = MappingProxyType({"duckdb": _GENERATORS, "clickhouse": _GENERATORS})

# Here `sequence.nextval` is an expression, without parentheses.
QUALIFIED_SEQUENCES = frozenset({"snowflake", "oracle", "exasol", "redshift", "singlestore"})

_FILE_NAMES = (
    "csv tsv txt parquet json jsonl ndjson geojson xlsx xls db duckdb sqlite arrow ipc feather avro orc gz zst zip bz2"
)
_FILES = frozenset(_FILE_NAMES.split())


def has_side_effects(name: str, dialect: str) -> bool:
    """Whether calling `name` (lower case, without its qualifiers) is more than reading."""
    return _is_denied(name, dialect) if len(name) <= 64 else _is_denied.__wrapped__(name, dialect)


@lru_cache(maxsize=4096)
def _is_denied(name: str, dialect: str) -> bool:
    denied = f"{_DENIED.get(dialect, '')} {_OTHER}"
    if not any(fnmatchcase(name, pattern) for pattern in denied.split()):
        return False
    return not any(fnmatchcase(name, pattern) for pattern in _HARMLESS.get(dialect, "").split())


def is_path_like(name: str) -> bool:
    """Whether a table of this name would be looked for in files or on the network."""
    return any(mark in name for mark in "/\\*?:~") or (name.rpartition(".")[2].lower() in _FILES and "." in name)
