"""A directory of YAML files as sources by name.

Order, so that every name has one owner: shards of `_schema/`, then standalone
files, each in path order, then overlays on scanned tables; last, every join must
lead to a loaded source.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from .errors import InvalidModel, nearest
from .manifest import Manifest, apply_overlay, explain, project_manifest_entry, validate_overlay
from .models import SourceDefinition

__all__ = ["SourceLoader", "read_yaml"]

_log = logging.getLogger(__name__)
_DROPPED = ("source_type", "inherits_columns_from", "usage")  # keys of older files that mean nothing now


class SourceLoader:
    """Reads `*.yaml` below `directory`; other endings, `.yml` too, are left alone."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def load_all(self) -> dict[str, SourceDefinition]:
        """Every source by name; an empty or missing directory gives `{}`.

        Raises `InvalidModel`, naming the file, for unreadable YAML, a repeated name, a
        definition or overlay that is refused, and a join whose target is not loaded.
        """
        sources = self._load_shards()
        scanned = set(sources)
        overlays: list[tuple[str, Mapping[str, Any]]] = []
        for path in self._files():
            data = self._named_mapping(path)
            if data is None:
                continue
            name = str(data["name"])
            if data.get("sql") is None and data.get("table") is None:
                overlays.append((name, data))
                continue
            if name in sources:
                raise _duplicate(name, path)
            sources[name] = self._definition(data, path)
        for name, overlay in overlays:
            if name in scanned:
                sources[name] = apply_overlay(sources[name], overlay)
                continue
            validate_overlay(name, overlay)
            _log.warning("overlay %r has no scanned table of that name in _schema/; it is ignored", name)
        self._check_targets(sources)
        return sources

    def load_file(self, path: str | Path) -> SourceDefinition:
        """The one source a standalone file defines.

        Raises `InvalidModel` for anything else, an overlay included.
        """
        data = self._named_mapping(Path(path))
        if data is None:
            raise InvalidModel("invalid_model", f"{path} is not a mapping with a 'name'; it defines no source")
        return self._definition(data, Path(path))

    def _files(self) -> Iterator[Path]:
        shards = self.directory / "_schema"
        for path in sorted(self.directory.rglob("*.yaml"), key=lambda path: path.as_posix()):
            if path.is_file() and path.parent != shards:
                yield path

    def _load_shards(self) -> dict[str, SourceDefinition]:
        sources: dict[str, SourceDefinition] = {}
        for path in sorted((self.directory / "_schema").glob("*.yaml")):
            data = read_yaml(path)
            if not isinstance(data, dict):
                continue
            try:
                manifest = Manifest.model_validate(data)
            except ValidationError as error:
                raise InvalidModel("invalid_model", f"{path}: {explain(error)}", str(path)) from error
            for name, entry in manifest.tables.items():
                if name in sources:
                    raise _duplicate(name, path)
                sources[name] = project_manifest_entry(name, entry)
        return sources

    def _named_mapping(self, path: Path) -> dict[str, Any] | None:
        data = read_yaml(path)
        if not isinstance(data, dict) or not data.get("name"):
            _log.debug("%s is not a mapping with a 'name'; skipped", path)
            return None
        return {key: value for key, value in data.items() if key not in _DROPPED}

    def _definition(self, data: Mapping[str, Any], path: Path) -> SourceDefinition:
        try:
            return SourceDefinition.model_validate(data)
        except ValidationError as error:
            raise InvalidModel("invalid_model", f"{path}: {explain(error)}", str(data.get("name"))) from error

    def _check_targets(self, sources: Mapping[str, SourceDefinition]) -> None:
        for source in sources.values():
            for position, join in enumerate(source.joins):
                if join.to not in sources:
                    raise InvalidModel(
                        "undefined_target",
                        f"join target {join.to!r} of source {source.name!r} is not defined; "
                        "add that source or remove the join",
                        f"{source.name}.joins.{position}",
                        nearest(join.to, sources, "a loaded source"),
                    )


class _Unique(yaml.SafeLoader):
    """Refuses a mapping that repeats a key: plain YAML keeps the last one silently."""


def _mapping(loader: _Unique, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:  # before merge keys (<<) are flattened: overriding a merged key is meant
        if isinstance(key_node, yaml.ScalarNode):
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is repeated", key_node.start_mark
                )
            seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


_Unique.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """The value a YAML file holds. Raises `InvalidModel` for bad YAML and repeated keys, `OSError` as `open` does."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Unique)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidModel("invalid_model", f"{path} is not readable YAML: {' '.join(str(error).split())}") from error


def _duplicate(name: str, path: Path) -> InvalidModel:
    return InvalidModel("invalid_model", f"Duplicate source name {name!r} in {path}; rename one of them", name)
