"""Names that keys and values had in earlier versions, in which their runs have stored the config.

Only the `resolved.yaml` of a run is read with them: in a config that a user wrote, an earlier name
is an error that states the present one.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from dlcli.schema.yaml_document import child, empty_mapping, scalar

_KEYS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("data",), "weight", "sample_weight"),
    (("data", "target"), "positive", "positive_class"),
    (("input",), "feature_scale", "scaling_layer"),
    (("input", "features", "*"), "max_categories", "one_hot_values"),
    (("gates", "*"), "by", "compare"),
    (("tune", "space"), "hidden", "hidden_layers"),
    (("tune", "space", "hidden_layers"), "layers", "number"),
)
"""The path of a section, where `*` is any key, with the earlier and the present name of a key."""
_VALUES: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("input", "scaling"), "name", "log", "log1p"),
    (("input", "features", "*", "scaling"), "name", "log", "log1p"),
    (("output", "scaling"), "name", "log", "log1p"),
    (("gates", "*"), "compare", "interval", "confidence_bound"),
)
"""The path of a section, a key, and its earlier and its present value."""


def rename(root: yaml.MappingNode) -> None:
    """Give keys and values their present names.

    Args:
        root: the top of a complete config, which is modified.
    """
    for path, earlier, present in _KEYS:
        for section in _sections(root, path):
            for key, value in section.value:
                if key.value == earlier and _has_new_name(present, section, value):
                    key.value = present
    for path, name, earlier, present in _VALUES:
        for section in _sections(root, path):
            for key, value in section.value:
                if key.value == name and value.value == earlier:
                    value.value = present
    for section in _sections(root, ("input",)):
        section.value = [(key, _as_section(key, value)) for key, value in section.value]


def _sections(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[yaml.MappingNode]:
    """Yield the mappings at a path that there are."""
    if not isinstance(node, yaml.MappingNode):
        return
    if not path:
        yield node
        return
    step, *rest = path
    below = [value for _, value in node.value] if step == "*" else [child(node, step)]
    for each in below:
        yield from _sections(each, tuple(rest))


def _as_section(key: yaml.Node, value: yaml.Node) -> yaml.Node:
    """Return the learning-rate multiplier that `feature_scale` was as a scaling layer."""
    is_number = value.tag.endswith((":int", ":float"))
    if key.value != "scaling_layer" or not is_number or value.start_mark is None:
        return value
    section = empty_mapping(value.start_mark)
    name = scalar("str", "learning_rate_multiplier", value.start_mark)
    section.value.append((name, value))
    return section


def _has_new_name(present: str, section: yaml.MappingNode, value: yaml.Node) -> bool:
    """Return whether a key has a new name: that of other types and of whole stacks has not."""
    if present == "one_hot_values":
        kind = child(section, "type")
        return kind is not None and kind.value == "numeric"
    return present != "hidden_layers" or isinstance(value, yaml.MappingNode)
