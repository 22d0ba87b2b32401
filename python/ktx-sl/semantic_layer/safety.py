"""What may stand in an expression.

Invariant: text from a query is built of listed nodes only, so nothing new that
sqlglot learns to parse gets in unseen. Model text is trusted with subqueries and
native functions, but it too stays one expression. Functions are judged by the
class sqlglot gives them: the ones it has no class for (`pg_read_file`, `sleep`,
`read_csv_auto`) need `allowed_functions`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlglot import exp

from .errors import InternalError, InvalidQuery

__all__ = ["OWN_FUNCTIONS", "check_model_tree", "check_query_tree", "check_statement", "is_aggregate", "is_windowed"]

# Functions the engine itself gives meaning to, under the names `expr` parses them by.
OWN_FUNCTIONS = {
    "__ktx_percentile": "percentile",
    "__ktx_median": "median",
    "__ktx_count_distinct": "count_distinct",
    "__ktx_safe_divide": "safe_divide",
}

# Node classes with no effect beyond their operands.
_STRUCTURE = frozenset(
    """
    Literal HexString BitString ByteString National RawString Boolean Null Column Identifier Dot Paren Tuple Neg Not
    BitwiseNot And Or Xor EQ NEQ GT GTE LT LTE Is NullSafeEQ NullSafeNEQ Between In Like ILike LikeAny ILikeAny
    LikeAll ILikeAll SimilarTo RegexpLike RegexpILike Glob Escape Add Sub Mul Div IntDiv Mod DPipe SafeDPipe Pow
    BitwiseAnd BitwiseOr BitwiseXor BitwiseLeftShift BitwiseRightShift Overlaps Any All Case If Coalesce Nullif Nvl2
    Cast TryCast JSONCast DataType DataTypeParam Interval IntervalSpan IntervalOp Var Extract AtTimeZone
    FromTimeZone Distinct Filter Where WithinGroup Order Ordered IgnoreNulls RespectNulls Collate Bracket Slice
    JSONPath JSONPathRoot JSONPathKey JSONPathSubscript JSONPathWildcard JSONPathSlice JSONPathRecursive
    JSONExtractQuote PropertyEQ HavingMax FormatJson DateTimeUnit WeekStart
    """.split()  # noqa: SIM905
)

# Scalar functions of one row's values: no files, tables, models, settings or sequences.
_FUNCTIONS = frozenset(
    """
    Abs Acos Acosh Asin Asinh Atan Atan2 Atanh BitmapBitPosition BitmapBucketNumber BitmapCount BitwiseCount Booland
    Boolnot Boolor Cbrt Ceil Cos Cosh CosineDistance Cot Coth Csc Csch Degrees DotProduct EuclideanDistance Exp
    Factorial Floor Getbit IsInf IsNan JarowinklerSimilarity Ln Log ManhattanDistance Nanvl Pi Radians Rint Round
    SafeAdd SafeDivide SafeMultiply SafeNegate SafeSubtract Sec Sech Sign Sin Sinh Sqrt Tan Tanh Trunc Negative
    AddMonths ConvertTimezone CurrentDate CurrentDatetime CurrentTime CurrentTimestamp CurrentTimestampLTZ
    CurrentTimezone Date DateAdd DateBin DateDiff DateFromParts DateFromUnixDate DateStrToDate DateSub DateToDateStr
    DateToDi DateTrunc Datetime DatetimeAdd DatetimeDiff DatetimeSub DatetimeTrunc Day DayOfMonth DayOfWeek
    DayOfWeekIso DayOfYear Dayname DiToDate FromISO8601Date FromISO8601Timestamp FromISO8601TimestampNanos
    GetExtract Hour JustifyDays JustifyHours JustifyInterval LastDay Localtime Localtimestamp MakeInterval Minute
    Month Monthname MonthsBetween NextDay ParseDatetime ParseTime PreviousDay Quarter Second StrToDate StrToTime
    StrToUnix Systimestamp Time TimeAdd TimeDiff TimeFromParts TimeSlice TimeStrToDate TimeStrToTime TimeStrToUnix
    TimeSub TimeToStr TimeToTimeStr TimeToUnix TimeTrunc Timestamp TimestampAdd TimestampDiff TimestampFromParts
    TimestampLtzFromParts TimestampSub TimestampTrunc TimestampTzFromParts ToDays TsOrDiToDi TsOrDsAdd TsOrDsDiff
    TsOrDsToDate TsOrDsToDateStr TsOrDsToDatetime TsOrDsToTime TsOrDsToTimestamp UnixDate UnixMicros UnixMillis
    UnixSeconds UnixToStr UnixToTime UnixToTimeStr UtcDate UtcTime UtcTimestamp Week WeekOfYear Year YearOfWeek
    YearOfWeekIso Ascii Base64DecodeBinary Base64DecodeString Base64Encode BitLength ByteLength Chr CityHash64
    CodePointsToBytes CodePointsToString Concat ConcatWs Contains ConvertToCharset Decode Elt Encode EndsWith
    FarmFingerprint Format FromBase FromBase32 FromBase64 Hex HexDecodeString Initcap IsAscii Left Length
    Levenshtein Lower LowerHex MD5 MD5Digest MD5NumberLower64 MD5NumberUpper64 Normalize NumberToStr Overlay Pad
    ParseBignumeric ParseNumeric ParseUrl RegexpCount RegexpExtract RegexpFullMatch RegexpInstr RegexpReplace
    RegexpSubstr Repeat Replace Reverse Right RtrimmedLength SHA SHA1Digest SHA2 SHA2Digest SafeConvertBytesToString
    Soundex SoundexP123 Space SplitPart StandardHash StartsWith StrPosition String Strtok Stuff Substring
    SubstringIndex ToBase32 ToBase64 ToBinary ToChar ToCodePoints ToDecfloat ToDouble ToNumber Translate Trim
    TryBase64DecodeBinary TryBase64DecodeString TryHexDecodeBinary TryHexDecodeString TryToDecfloat Unhex Unicode
    Upper Split StringToArray RegexpSplit RegexpExtractAll Array ArrayAll ArrayAny ArrayAppend ArrayCompact
    ArrayConcat ArrayContainedBy ArrayContains ArrayContainsAll ArrayDistinct ArrayExcept ArrayFirst ArrayIntersect
    ArrayLast ArrayMax ArrayMin ArrayOverlaps ArrayPosition ArrayPrepend ArrayRemove ArrayReverse ArraySize
    ArraySlice ArraySort ArraySum ArrayToString Map MapContainsKey MapKeys MapSize Struct StructExtract ToArray
    JSONArrayContains JSONBContains JSONBContainsTopKey JSONBExists JSONBExtract JSONBExtractScalar JSONBool
    JSONExists JSONExtract JSONExtractArray JSONExtractScalar JSONFormat JSONKeys JSONObject JSONArray JSONType
    ParseJSON JSONValueArray JSONValue IsArray IsNullValue CastToStrType Collation Convert CurrentCatalog
    CurrentDatabase CurrentRole CurrentSchema CurrentUser SessionUser DecodeCase EqualNull Float64 Int64 Greatest
    LaxBool LaxFloat64 LaxInt64 LaxString Least RangeBucket ToBoolean WidthBucket Typeof
    """.split()  # noqa: SIM905
)

# Aggregates whose value depends on an order among groups or rows outside them.
_WINDOW_ONLY = frozenset(
    """
    CumeDist DenseRank FirstValue LastValue Lag Lead NthValue Ntile PercentRank Rank RowNumber Grouping GroupingId
    """.split()  # noqa: SIM905
)
_NOT_AGGREGATES = frozenset({"AIAgg", "AISummarizeAgg"})


def is_windowed(node: exp.Expr) -> bool:
    """Whether `node` is a window function, with or without its OVER."""
    return isinstance(node, exp.Window) or type(node).__name__ in _WINDOW_ONLY


def is_aggregate(node: exp.Expr) -> bool:
    """Whether `node` folds rows into one value."""
    if isinstance(node, exp.AggFunc):
        return type(node).__name__ not in _WINDOW_ONLY
    if isinstance(node, exp.Anonymous):
        return node.name in {"__ktx_percentile", "__ktx_median", "__ktx_count_distinct"}
    return False


def _describe(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"function {OWN_FUNCTIONS.get(node.name, node.name)!r}"
    if isinstance(node, exp.Query | exp.Exists):
        return "a subquery"
    if isinstance(node, exp.Star):
        return "'*'"
    if isinstance(node, exp.Window):
        return "a window function"
    if isinstance(node, exp.Parameter | exp.Placeholder | exp.SessionParameter):
        return "a parameter"
    if isinstance(node, exp.Func):
        return f"function {node.sql_name().lower()!r}"
    return f"{type(node).__name__}"


def _forbidden(text: str, what: str, instead: str) -> InvalidQuery:
    return InvalidQuery("forbidden", f"{text!r}: {what} is not allowed here; {instead}")


def _walk(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Every node outside subqueries."""
    yield from tree.walk(prune=lambda node: isinstance(node, exp.Query))


def check_query_tree(tree: exp.Expr, text: str, allowed: Collection[str], kept: Collection[str] = ()) -> None:
    """Refuse anything not listed. `allowed` holds further function names,
    `kept` the dialect's kept aggregates, lower-case. Raises `forbidden`."""
    for node in tree.walk():
        name = type(node).__name__
        if isinstance(node, exp.Window) or is_windowed(node):
            raise InvalidQuery(
                "window_function", f"Window functions are not supported: {text!r}. Use a measure by dimensions instead"
            )
        if isinstance(node, exp.Star):
            if isinstance(node.parent, exp.Count) and not node.args.get("except_") and not node.args.get("except"):
                continue
            raise _forbidden(text, "'*'", "only count(*) takes a star; name the columns")
        if isinstance(node, exp.AnonymousAggFunc) and node.name.lower() in kept:
            continue
        if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
            if node.name in OWN_FUNCTIONS or node.name.lower() in allowed:
                continue
            raise _forbidden(text, _describe(node), "use a standard function, or put it in the model")
        if isinstance(node, exp.Dot) and not isinstance(node.expression, exp.Identifier):
            raise _forbidden(text, "a qualified function", "use a standard function, or put it in the model")
        if isinstance(node, exp.In) and (node.args.get("query") or node.args.get("unnest") or node.args.get("field")):
            raise _forbidden(text, "IN over anything but a list", "list the values")
        if isinstance(node, exp.AggFunc) and name not in _NOT_AGGREGATES:
            continue
        if name in _STRUCTURE or name in _FUNCTIONS:
            continue
        raise _forbidden(text, _describe(node), "write one expression over columns, measures and literals")


def check_model_tree(tree: exp.Expr, text: str) -> None:
    """Refuse statements, parameters and stray stars; windows only inside subqueries. Raises `forbidden`."""
    for node in tree.walk():
        if isinstance(node, exp.Placeholder | exp.Parameter | exp.SessionParameter | exp.Command | exp.DDL | exp.DML):
            raise _forbidden(text, _describe(node), "write one expression")
    for node in _walk(tree):
        if is_windowed(node):
            raise InvalidQuery("window_function", f"Window functions are not supported: {text!r}. Use a SQL source")
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
            raise _forbidden(text, "'*'", "only count(*) takes a star; name the columns")
        if isinstance(node, exp.Alias):
            raise _forbidden(text, "an alias", "write the expression alone")


def check_statement(sql: str, dialect: object) -> None:
    """The printed SQL must read back as exactly one SELECT. Raises `internal_error`."""
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.errors import SqlglotError

    assert isinstance(dialect, Dialect)
    try:
        trees = dialect.parse(sql)
    except SqlglotError as error:
        raise InternalError("internal_error", f"the generated SQL does not parse: {sql}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        raise InternalError("internal_error", f"the generated SQL is not one SELECT: {sql}")
