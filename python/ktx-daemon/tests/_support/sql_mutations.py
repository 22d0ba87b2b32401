"""Statements a hostile caller might send: reading and writing ones, cut, spliced and disguised.

`mutated` draws from a seeded generator, so a failure names a seed that repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

READS = (
    "select 1",
    "select a, b from t where a > 1 order by b limit 3",
    "with c as (select a from t) select * from c",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) select n from r",
    "(select 1 union select 2) except select 2",
    "values (1, 'x'), (2, 'y')",
    "select count(*), sum(a) from t group by b having count(*) > 0",
    "select case when a > 1 then 'x' else \"b\" end as c from t",
    "select 'it''s', \"a\" from t -- comment\n",
    "select /* comment */ coalesce(a, 0) + -1 from t t2, t t3",
    "select * from t x join t y on x.a = y.a left join t z using (a)",
    "select (select max(a) from t), a in (1, 2), exists (select 1 from t) from t",
    "select a::text || 'z' from t",
    "select row_number() over (partition by b order by a) from t",
    "select 1 as a;",
    "select 1; -- ok",
)
DIALECT_READS = {
    "duckdb": (
        "from t",
        "from t select a where a > 1",
        "select [x + 1 for x in [1, 2]], {'a': 1}, a: 2",
        "from range(3), unnest([1, 2])",
        "select $$text$$, E'a\\'b', 7 // 2 from t",
        "from t pivot (sum(a) for b in ('x', 'y'))",
        "select * exclude (a) from t",
        "select columns('a.*') from t",
        "select list_transform([1], x -> x + 1)",
    ),
    "sqlite": (
        "select [a], `b`, x'41' from t",
        "select * from json_each('[1]'), pragma_table_info('t')",
        "select a from t where b glob 'x*' or b like 'y%' escape '\\'",
        "select * from t indexed by i",
        "select iif(a, 1, 2), a -> '$' from t",
        "select @a::b('), 1; drop table t; --')",
        "select a from t where b = :x and a > $y and a < @z",
    ),
    "postgres": (
        "table t",
        "select $$text$$, $q$it's$q$, E'a\\'b', U&'d\\0061t', B'1', X'f' from t",
        "select array[1, 2], (array[1])[1], row(1, 2), t.*, (t).a from t",
        "select * from generate_series(1, 2) with ordinality, lateral (select 1) l",
        "select distinct on (a) a, now() at time zone 'utc', interval '1 day' from t",
        "select * from t tablesample system (10)",
        "select * from rows from (generate_series(1, 2), unnest(array[1]))",
        "select pg_typeof(a), currval('s2'), a @> array[1] from (select array[a] as a from t) q",
        "select string_agg(b, ',' order by a) filter (where a > 0) from t",
        "select ('1'::text).length, cast(a as numeric(3, 1)), date '2020-01-01' from t",
        "/* a /* nested */ comment */ select 1 # 2",
    ),
}
WRITES = (
    "insert into t values (9, 'q')",
    "update t set a = 100",
    "delete from t",
    "drop table t",
    "create table u (a int)",
    "create table v as select 1",
    "alter table t add column z int",
    "drop view w",
    "create view x as select 1",
)
DIALECT_WRITES = {
    "duckdb": (
        "select nextval('s')",
        "select setval('s', 50)",
        "select 's'.nextval()",
        "create sequence s3",
        "with c as (delete from t returning *) select * from c",
        "with c as (insert into t values (7, 'c') returning *) from c",
        "copy t to 'out.csv'",
        "attach 'other.db'",
        "export database 'out'",
        "from query('select nextval(''s'')')",
        "select json_execute_serialized_sql(json_serialize_sql('select 1'))",
        "pragma enable_profiling",
        "set variable x = 1",
        "checkpoint",
        "pivot t on b using sum(a)",
        "select write_log('x')",
        "merge into t using t t2 on t.a = t2.a when matched then delete",
    ),
    "sqlite": (
        "replace into t values (9, 'q')",
        "pragma user_version = 7",
        "attach 'other.db' as o",
        "vacuum into 'copy.db'",
        "reindex",
        "analyze",
        "begin; delete from t; commit",
        "with c as (select 1) delete from t",
        "with c as (select 1) insert into t select 8, 'w'",
        "select * from pragma_optimize",
        "select * from pragma_user_version(9)",
        "select load_extension('x')",
        "select writefile('out', 'x')",
    ),
    "postgres": (
        "select nextval('s')",
        "select pg_catalog.nextval('s')",
        "select \"nextval\"('s')",
        "select U&\"\\006eextval\"('s')",
        "select ('s'::regclass).nextval",
        "select setval('s', 50)",
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select query_to_xml('select nextval(''s'')', true, true, '')",
        "select * from ts_stat('select to_tsvector(nextval(''s'')::text)')",
        "select a into n from t",
        "select into n",
        "select * from t for update",
        "with c as (delete from t returning *) select * from c",
        "with c as (update t set a = 0 returning *) table c",
        "do $$ begin delete from t; end $$",
        "copy t to program 'true'",
        "truncate t",
        "call p()",
        "select f()",
        "select set_config('application_name', 'x', false)",
        "set application_name = 'y'",
        "comment on table t is 'x'",
        "grant select on t to public",
        "explain analyze delete from t",
        "prepare q as delete from t",
        "select pg_notify('c', 'x')",
        "lock table t",
        "merge into t using t t2 on t.a = t2.a when matched then delete",
        "select pg_advisory_lock(1)",
        "select txid_current()",
    ),
}
_MARKS: tuple[str, ...] = (
    *"'\"`;,.()[]{}$@:#?!*/\\-=<>|&%^~+ \n\r\t\f", "--", "/*", "*/", "$$", "$q$", "$1a$", "$a", "E'", "e'", "U&'", "U&\"", "N'", "X'", "B'", "''", '""', "]]", "//*",
    "\\'", "::", ":=", "=>", "->>", "||", "<>", "1e", "0x", "1_", "/*!", "-- \r", "\u00a0", "\u200b", "\u3000", "\ufeff",
    "\x00", "\x1f", "é", "ſ", "K", "/* /* */", "/**/", "--\r", ";;", "; ;", "$a(", "$a::b", "@a::b(", ":a::b(", "#a(", "@a('), 1; ", "@x", ":y", "?1", "#>",
)  # fmt: skip
_WORDS = (
    "select", "from", "where", "with", "as", "into", "for update", "returning *", "union all", "values", "table", "only",
    "lateral", "using", "on", "set", "drop table t", "delete from t", "insert into t values (5, 'm')", "nextval('s')",
    "; drop table t", "; delete from t; --", "; drop table t; /*", "case when a then b end", "not", "null", "escape",
    "uescape '!'", "collate", "over ()", "filter (where true)", "create", "temp", "recursive", "not materialized",
    "limit 1", "offset 1", "group by all", "order by 1", "qualify true", "window w as ()", "t.*", "*", "1", "1.5e3", "a",
    "b", "t", "s", "'s'", "nextval", "\"nextval\"", "pg_catalog", "main", "public", "exists", "in", "array", "row",
    "interval", "date", "cast", "begin", "commit", "execute", "explain", "pragma", "tablesample", "pivot", "describe",
)  # fmt: skip


def mutated(dialect: str, seed: int) -> str:
    """One statement, the same for the same seed."""
    chance = random.Random(f"{dialect}-{seed}")
    reads = READS + DIALECT_READS[dialect]
    writes = WRITES + DIALECT_WRITES[dialect]
    text: str = chance.choice(reads if chance.random() < 0.6 else writes)
    for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4, 6))):
        text = chance.choice(_STEPS)(text, chance, reads, writes)
    return text


def statements(dialect: str, count: int, start: int = 0) -> Iterator[tuple[int, str]]:
    for seed in range(start, start + count):
        yield seed, mutated(dialect, seed)


def _at(text: str, chance: random.Random) -> int:
    """A place in the text, mostly between words."""
    blanks = [index for index, character in enumerate(text) if character in " ,()"]
    return chance.choice(blanks) if blanks and chance.random() < 0.7 else chance.randint(0, len(text))


def _insert_mark(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    at = _at(text, chance)
    return text[:at] + chance.choice(_MARKS) + text[at:]


def _insert_word(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    at = _at(text, chance)
    return f"{text[:at]} {chance.choice(_WORDS)} {text[at:]}"


def _delete(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    start, end = sorted((_at(text, chance), _at(text, chance)))
    return text[:start] + text[min(end, start + 12) :]


def _append(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    joint = chance.choice(
        ("; ", ";", " ", " union ", " union all ", "\n", " ;--\n", "/**/", ",", " as ", " -- \r", " from ")
    )
    return text + joint + chance.choice(writes + reads)


def _nest(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    inner = chance.choice(writes + reads)
    shape = chance.choice(
        (
            "select * from ({1}) q",
            "with q as ({1}) {0}",
            "select ({1}) from ({0}) q",
            "select * from ({0}) q where exists ({1})",
            "({0}) union all ({1})",
            "with q as ({0}), p as materialized ({1}) select * from q, p",
            "select * from t, lateral ({1}) q",
            "({0})",
            "{1} -- {0}",
            "select '{0}', {1}",
            "select $$ {0} $$ {1}",
            'select 1 as "{0}" {1}',
            "/* {0} */ {1}",
        )
    )
    return shape.format(text, inner)


def _case(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    return "".join(character.upper() if chance.random() < 0.5 else character for character in text)


def _space(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    blank = chance.choice(("\n", "\t", "\r\n", "\f", "/**/", "-- x\n", "/* ; */", "\v", "\r", "\u00a0", "\u2003"))
    return "".join(blank if character == " " and chance.random() < 0.4 else character for character in text)


def _quote(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    words = text.split(" ")
    index = chance.randrange(len(words))
    quotes = chance.choice(('""', "''", "``", "[]", "$$ $$", "()", "E'' "))
    half = len(quotes) // 2
    words[index] = quotes[:half] + words[index] + quotes[half:]
    return " ".join(words)


def _swap(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    words = text.split(" ")
    first, second = chance.randrange(len(words)), chance.randrange(len(words))
    words[first], words[second] = words[second], words[first]
    return " ".join(words)


def _cross(text: str, chance: random.Random, reads: tuple[str, ...], writes: tuple[str, ...]) -> str:
    other = chance.choice(writes + reads)
    return text[: _at(text, chance)] + other[_at(other, chance) :]


type _Step = Callable[[str, random.Random, tuple[str, ...], tuple[str, ...]], str]

_STEPS: tuple[_Step, ...] = (
    _insert_mark, _insert_mark, _insert_mark, _insert_word, _insert_word, _delete, _append, _nest, _nest, _case, _space,
    _quote, _swap, _cross, _cross,
)  # fmt: skip
