"""A plugin of the wrong type is refused when it is loaded, and a class may register itself."""

from __future__ import annotations

import io
from abc import ABC
from collections.abc import Iterator
from typing import Any, ClassVar

import click
import pytest

from hcs_core.arrays import ARRAYS, ArrayAdapter
from hcs_core.cli import COMMANDS
from hcs_core.errors import PluginLoadError
from hcs_core.kernels import KERNELS, KernelLibrary
from hcs_core.plates import MICROSCOPES, PlateReader
from hcs_core.registry import Registry
from hcs_core.storage import FORMATS, STORAGE, FileFormat, StorageBackend
from hcs_core.testing import isolated_registry
from hcs_core.testing.registry import IsolatedRegistry

CLASSES = """
from hcs_core.{room} import {base} as Base
class Plugin(Base):
    {attribute} = {name!r}
class Whole(Plugin): pass
Whole.__abstractmethods__ = frozenset()
"""
KINDS: list[tuple[Registry[Any], str, type, str]] = [
    (FORMATS, "storage", FileFormat, "name"),
    (STORAGE, "storage", StorageBackend, "name"),
    (MICROSCOPES, "plates", PlateReader, "format"),
    (ARRAYS, "arrays", ArrayAdapter, "name"),
]


@pytest.fixture
def environment() -> Iterator[IsolatedRegistry]:
    with isolated_registry() as environment:
        yield environment


def refusal(registry: Registry[Any], key: str) -> str:
    with pytest.raises(PluginLoadError) as refused:
        registry[key]
    return refused.value.cause.removeprefix("TypeError: ")


@pytest.mark.parametrize(("registry", "room", "base", "attribute"), KINDS)
def test_a_class_of_another_type_is_refused(
    registry: Registry[Any],
    room: str,
    base: type,
    attribute: str,
    environment: IsolatedRegistry,
):
    source = CLASSES.format(room=room, base=base.__name__, attribute=attribute, name="toy")
    declared = {"toy": "toy:Whole", "renamed": "toy:Whole", "half": "toy:Plugin", "no": "toy:str"}
    declared["made"] = "toy:MADE"
    files = {"toy.py": f"{source}\nstr = str\nMADE = object.__new__(Whole)\n"}
    environment.install("acme", {f"{registry.kind}.v1": declared}, files)
    assert registry["toy"].__name__ == "Whole"
    expected = "Backend" if registry is STORAGE else base.__name__  # any role of storage
    assert refusal(registry, "no") == f"it is no {expected}, but a subclass of object"
    assert refusal(registry, "half").startswith("it lacks ")
    assert refusal(registry, "made") == "it must be a class, but is of type Whole"
    assert refusal(registry, "renamed") == "it is declared as 'renamed' but calls itself 'toy'"


@pytest.mark.parametrize(("registry", "room", "base", "attribute"), KINDS)
def test_our_own_plugins_are_of_the_type(
    registry: Registry[Any], room: str, base: type, attribute: str
):
    for key in registry:
        assert issubclass(registry[key], base)
        assert getattr(registry[key], attribute) == key


def test_a_kernel_library_is_one_and_has_its_name(environment: IsolatedRegistry):
    source = "from hcs_core.kernels import KernelLibrary\nLIBRARY = KernelLibrary('toy', ())\n"
    declared = {"toy": "toy:LIBRARY", "renamed": "toy:LIBRARY", "no": "toy:__name__"}
    environment.install("acme", {"hcs.kernels.v1": declared}, {"toy.py": source})
    assert isinstance(KERNELS["toy"], KernelLibrary)
    assert refusal(KERNELS, "no") == "it is no KernelLibrary, but of type str"
    assert refusal(KERNELS, "renamed") == "it is declared as 'renamed' but calls itself 'toy'"


def test_a_command_is_one_of_click(environment: IsolatedRegistry):
    source = "import click\ndef function(): pass\ncommand = click.command()(function)\n"
    declared = {"toy": "toy:command", "no": "toy:function"}
    environment.install("acme", {"hcs.cli.v1": declared}, {"toy.py": source})
    assert isinstance(COMMANDS["toy"], click.Command)
    assert refusal(COMMANDS, "no") == "it is no Command, but of type function"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise Mute()", "Mute: (it has no text)"),
        ("raise KeyError", "KeyError"),
        ("raise OSError('one\\ntwo')", "OSError: one"),
    ],
)
def test_an_error_that_says_little_is_one_line(
    source: str, reason: str, environment: IsolatedRegistry
):
    mute = "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n"
    environment.install(
        "acme", {"hcs.formats.v1": {"toy": "toy:Toy"}}, {"toy.py": f"{mute}{source}\n"}
    )
    assert refusal(FORMATS, "toy") == reason


@pytest.mark.usefixtures("environment")
def test_a_class_of_a_notebook_registers_itself():
    class Toy(FileFormat, key="toy"):
        name: ClassVar[str] = "toy"
        extensions: ClassVar[tuple[str, ...]] = (".toy",)

        def read(self, file: Any, *, path: str) -> Any:
            return file.read()

        def write(self, file: Any, value: Any, *, path: str) -> None:
            file.write(value)

    assert FORMATS["toy"] is Toy
    assert Toy().read(io.BytesIO(b"a"), path="") == b"a"


@pytest.mark.parametrize(("registry", "room", "base", "attribute"), KINDS)
@pytest.mark.usefixtures("environment")
def test_an_abstract_class_cannot_register_itself(
    registry: Registry[Any], room: str, base: type, attribute: str
):
    with pytest.raises(TypeError, match="it lacks"):
        type(base)("Half", (base,), {}, key="half")
    assert "half" not in registry
    assert issubclass(base, ABC)


def test_the_base_may_say_which_attribute_is_the_key_after_it_is_made():
    things: Registry[type] = Registry("example.expected")

    class Thing:
        pass

    class Layer(Thing):
        pass

    things.expect(Thing)
    things.expect(Layer)  # a layer below the base changes nothing
    assert things._expected == (Thing, "", False)
    things.expect(Thing, attribute="name")
    assert things._expected == (Thing, "name", False)
