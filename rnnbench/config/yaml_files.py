"""YAML as people write it: numbers that look like numbers, and nothing that expands beyond bounds."""

from __future__ import annotations

import re
from typing import Any

from rnnbench.config.plain import quoted
from rnnbench.errors import UserError, told

#: Keys that a mapping in a YAML file may have.
KEYS = 1000


def read_scalar(key: str, text: str) -> Any:
    """A flag's value as YAML reads it.

    Raises:
        UserError: it is none.
    """
    import yaml

    try:
        return read_yaml(text)
    except yaml.YAMLError:
        raise UserError(f"{key} must be a plain value, got {quoted(text)}.") from None


def read_yaml(text: str) -> Any:
    """YAML as PyYAML reads it, but for 2e-3, which is the number that it looks like and not a text.

    A key that is given twice is refused, and so is what expands to more than a config can hold.

    Raises:
        yaml.YAMLError: whatever is wrong with it.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            seen: set[str] = set()
            for key, _ in node.value if not hasattr(node, "flat") else ():
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"{quoted(key.value)} is given twice", key.start_mark
                        )
                    seen.add(key.value)
            super().flatten_mapping(node)
            node.flat = True
            if len(node.value) > KEYS:  # merges of merges: each level multiplies
                raise yaml.constructor.ConstructorError(None, None, "too many keys", node.start_mark)

    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:  # "2026-13-45", "!!bool maybe", a thousand brackets: PyYAML raises whatever comes
        raise yaml.YAMLError(told(error)) from None
