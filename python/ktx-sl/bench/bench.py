"""Measure the engine against its targets: `python bench/bench.py [--quick]`.

Times are medians (and 95th percentiles) of processor time: the work is on one thread and waits for nothing, so on an idle
machine that is the time that passes, and on a busy one it still compares. Import and memory are those of fresh interpreters.
Each line ends with a ratio to its target: below 1.00 meets it. Exit status is always 0: figures inform, tests decide.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from semantic_layer import SemanticEngine
from semantic_layer.models import SourceDefinition

IMPORT_SECONDS, IMPORT_MEGABYTES = 0.2, 60.0
QUERY_SECONDS, GROWTH, CONSTRUCTION_SECONDS = 0.010, 2.0, 1.0
CHILDREN = 9  # facts per hub: a model of many sources is many small stars joined at their hubs


def sources(count: int) -> dict[str, SourceDefinition]:
    """`count` sources in stars: each hub has nine facts, and every hub joins the one before."""
    made = {}
    for number in range(count):
        star, position = divmod(number, CHILDREN + 1)
        name = f"hub_{star}" if position == 0 else f"fact_{star}_{position}"
        parent = (f"hub_{star - 1}" if star else None) if position == 0 else f"hub_{star}"
        columns = [{"name": "id", "type": "number"}, {"name": "parent_id", "type": "number"}]
        columns += [{"name": f"{name}_label", "type": "string"}, {"name": "kind", "type": "string"}]
        columns += [{"name": f"value_{i}", "type": "number"} for i in range(10)]
        made[name] = SourceDefinition.model_validate(
            {
                "name": name,
                "table": f"warehouse.{name}",
                "grain": ["id"],
                "columns": columns,
                "joins": [{"to": parent, "on": f"parent_id = {parent}.id", "relationship": "many_to_one"}]
                if parent
                else [],
                "measures": [
                    {"name": f"total_{i}", "expr": f"sum(value_{i})", "filter": "kind <> 'void'"} for i in range(10)
                ],
                "segments": [{"name": "live", "expr": "kind = 'live'"}],
            }
        )
    return made


def query(measures: int) -> dict[str, Any]:
    """`measures` measures of one fact, predefined and ad hoc, by two dimensions of its hub and itself."""
    texts = [f"fact_0_1.total_{i}" if i < 10 else f"sum(fact_0_1.value_{i % 10}) + {i}" for i in range(measures)]
    return {"measures": texts, "dimensions": ["hub_0.hub_0_label", "fact_0_1.kind"]}


def timed(run: Callable[[], object], times: int) -> tuple[float, float]:
    """Median and 95th percentile, in seconds."""
    run()
    gc.collect()
    taken = []
    for _ in range(times):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    taken.sort()
    return statistics.median(taken), taken[min(len(taken) - 1, int(len(taken) * 0.95))]


# Users' runtimes are installed with their bytecode; the first of several runs writes it here.
CACHE = tempfile.TemporaryDirectory()
ENVIRONMENT = {**os.environ, "PYTHONPYCACHEPREFIX": CACHE.name}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


def fresh(code: str) -> list[float]:
    """Numbers that `code` prints in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return [float(word) for word in done.stdout.split()]


# A process started from a large parent may report the parent's peak, so memory is read as it is now where it can be.
PEAK = """
import resource, sys
def peak():
    try:
        line = next(l for l in open('/proc/self/status') if l.startswith('VmHWM'))
        return int(line.split()[1]) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == 'darwin' else 1024)
"""
IMPORT = PEAK + "import time; s = time.process_time(); import semantic_layer; print(time.process_time() - s, peak())"
ENGINE = IMPORT.replace("import semantic_layer", "from semantic_layer import SemanticEngine")
LARGE = (
    PEAK
    + "import sys; sys.path.insert(0, {here!r}); import bench; from semantic_layer import SemanticEngine\n"
    + "e = SemanticEngine.from_sources(bench.sources({count}), dialect='postgres'); e.query(bench.query(1)); print(peak())"
)


def show(what: str, value: str, ratio: float | None = None, target: str = "") -> None:
    verdict = "" if ratio is None else f"{ratio:8.2f} of target {target}"
    print(f"{what:<46} {value:>24} {verdict}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the engine against its targets.")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    quick = parser.parse_args().quick
    repetitions = 20 if quick else 200

    for what, code in (("package", IMPORT), ("engine, its parser and models too", ENGINE)):
        runs = [fresh(code) for _ in range(3 if quick else 9)]
        seconds, megabytes = (statistics.median(column) for column in zip(*runs, strict=True))
        show(f"import of the {what}", f"{seconds * 1000:.0f} ms", seconds / IMPORT_SECONDS, "200 ms")
        show("  peak memory", f"{megabytes:.0f} MB", megabytes / IMPORT_MEGABYTES, "60 MB")

    medians: dict[int, float] = {}
    for count in (10, 100, 1_000):
        definitions = sources(count)
        built, _ = timed(lambda d=definitions: SemanticEngine.from_sources(d, dialect="postgres"), 3 if quick else 7)
        ratio = built / CONSTRUCTION_SECONDS if count == 1_000 else None
        show(f"construction, {count} sources", f"{built * 1000:.1f} ms", ratio, "1 s")
        engine = SemanticEngine.from_sources(definitions, dialect="postgres")
        start = time.process_time()
        engine.query(query(1))
        show(f"first query, {count} sources", f"{(time.process_time() - start) * 1000:.1f} ms")
        median, late = timed(lambda e=engine: e.query(query(1)), repetitions)
        medians[count] = median
        ratio, target = {
            10: (median / QUERY_SECONDS, "10 ms"),
            1_000: (median / medians[10] / GROWTH, "2 x that at 10"),
        }.get(count, (None, ""))
        show(f"warm query, {count} sources", f"{median * 1000:.2f} ms, p95 {late * 1000:.2f}", ratio, target)
    here = __file__.rpartition("/")[0] or "."
    for count in (10, 1_000):
        (peak,) = fresh(LARGE.format(here=here, count=count))
        show(f"peak memory, {count} sources and a query", f"{peak:.0f} MB")

    engine = SemanticEngine.from_sources(sources(10), dialect="postgres")
    by_measures = {}
    for measures in (1, 10, 25, 50):
        by_measures[measures], late = timed(lambda m=measures: engine.query(query(m)), max(5, repetitions // 5))
        show(
            f"warm query, {measures} measures",
            f"{by_measures[measures] * 1000:.2f} ms, p95 {late * 1000:.2f}",
        )
    # Linear: from 25 to 50 measures the time at most doubles, a fixed part aside.
    growth = (by_measures[50] - by_measures[1]) / (by_measures[25] - by_measures[1])
    show("growth from 25 to 50 measures", f"{growth:.2f} x", growth / (49 / 24), "49/24 = 2.04 x (linear)")


if __name__ == "__main__":
    main()
