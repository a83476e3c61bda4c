"""Keys of the user's own: a file that gives actions other keys, checked before anything is shown."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, format_key, key_to_character
from textual.message_pump import MessagePump

from coffee_core.errors import ConfigError

Keymap = Mapping[str, str]
"""Name of an action → its keys, separated by commas, as Textual writes them: ``f5``, ``ctrl+k``, ``T``."""
_COMMENT_AT = 46
_MODIFIERS = ("ctrl", "shift", "alt")
_RESERVED = ("ctrl+c", "ctrl+q")
"""Ends the dashboard, whatever else is bound: nobody shall be locked in."""
_NAMED = re.compile(r"\{([a-z0-9-]+)\}")


class BoundApp(App[None]):
    """An app whose keys can be given anew."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keys: Keymap = {}
        """What is bound otherwise than by default."""
        self._names: dict[str, str] = {}

    def bind_keys(self, keys: Keymap, bindings: Iterable[Binding]) -> None:
        """Bind these actions to these keys instead of their own; ``bindings`` are those of all screens."""
        self.keys = keys
        self._names = {binding.id: key_name(binding) for binding in as_bound(bindings, keys) if binding.id}
        self.set_keymap(dict(keys))

    def named(self, text: str) -> str:
        """Return a text with keys in the place of its actions: ``{load}`` is what starts the load here.

        Raises KeyError of an action that there is none of.
        """
        return _NAMED.sub(lambda found: self._names[found[1]], text)


def named(node: MessagePump, text: str) -> str:
    """Return the same, of the app that a widget or a screen is in."""
    app = node.app
    assert isinstance(app, BoundApp), "whoever names keys is in an app that knows them"
    return app.named(text)


def key_name(binding: Binding) -> str:
    """Return what a binding's key is called on the screen: of several the first."""
    return binding.key_display or binding.key.split(",")[0]


def as_bound(bindings: Iterable[Binding], keys: Keymap) -> list[Binding]:
    """Return the bindings with the keys that they have been given."""
    return [
        binding.with_key(given, shown(given)) if (given := keys.get(binding.id or "")) else binding
        for binding in bindings
    ]


def shown(keys: str) -> str:
    """Return the first of these keys as the screen writes it."""
    *modifiers, key = keys.split(",")[0].strip().split("+")
    return "".join("^" if modifier == "ctrl" else f"{modifier}+" for modifier in modifiers) + format_key(key)


def read_keymap(path: Path, pages: Mapping[str, Iterable[Binding]]) -> dict[str, str]:
    """Read the file of keys; none where it is absent. ``pages`` are the bindings of each screen by its name.

    Raises ConfigError, which names the file and the line's own name, of a file that cannot be read, an action that
    there is none of, a key that there is none of, and a key that would do two things on one screen.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no text
        raise ConfigError(f"{path} is no TOML: {error}") from error
    known = {binding.id for bindings in pages.values() for binding in bindings if binding.id}
    keymap = {}
    for name, keys in found.items():
        if name not in known:
            raise ConfigError(f"{path}: {name} is no action; `coffee-tui --keys` lists them")
        keymap[name] = _checked(f"{path}: {name} =", keys)
    for page, bindings in pages.items():
        _require_one_each(path, page, as_bound(bindings, keymap), keymap)
    return keymap


def _checked(field: str, keys: Any) -> str:
    if not isinstance(keys, str) or not keys.strip():
        raise ConfigError(f'{field} {keys!r}: must be a key in quotes, several separated by commas: "f5,ctrl+k"')
    for key in map(str.strip, keys.split(",")):
        if not _is_key(key):
            raise ConfigError(f"{field} {keys!r}: {key!r} is no key; such are f5, ctrl+k, T, space, question_mark")
        if key in _RESERVED:
            raise ConfigError(f"{field} {keys!r}: {key} always ends the dashboard")
    return keys


def _is_key(key: str) -> bool:
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return False
    named = {*(each.value for each in Keys), *KEY_NAME_REPLACEMENTS.values()}
    return last in named or key_to_character(last) is not None


def _require_one_each(path: Path, page: str, bindings: Iterable[Binding], keymap: Keymap) -> None:
    by_key: dict[str, list[str]] = defaultdict(list)
    for binding in bindings:
        for key in BindingsMap([binding]).key_to_bindings:
            by_key[key].append(binding.id or binding.action)
    for key, names in by_key.items():
        if len(names) > 1 and any(name in keymap for name in names):
            both = " and ".join(names)
            raise ConfigError(f"{path}: {shown(key)} would do two things on the page {page}: {both}")


def keymap_lines(pages: Mapping[str, Iterable[Binding]], keys: Keymap) -> list[str]:
    """Return the content of a file of keys that changes nothing: every action, what it does, its keys."""
    written: dict[str, str] = {}
    for page, bindings in pages.items():
        for binding in as_bound(bindings, keys):
            name = binding.id
            if name and name not in written:
                what = binding.tooltip or binding.description
                where = f" ({page})" if name.startswith(f"{page}-") else ""
                written[name] = f'{name} = "{binding.key}"'.ljust(_COMMENT_AT) + f"  # {what}{where}"
    return list(written.values())
