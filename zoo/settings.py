"""Options of what is built by name: read from signatures, never written a second time.

    Config("zoo.models.vae.vae", latent=16, prior=Config("zoo.parts.priors.LearnedNormal"))

A `Config` names a function or class and some of its arguments; calling it builds. Its options are the
parameters that have a default and a type that text can express. A part (`zoo.choices`) is given by its name;
its own options are then options too, ``prior.components``, or ``components`` where no other option has that
name. What an option means is read from the docstring.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from zoo.choices import Choice, Part, dotted, imported
from zoo.conversion import choices, convert, is_convertible
from zoo.errors import UsageError, nearest

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """One parameter of a builder.

    Attributes:
        name: the parameter's.
        hint: its type.
        default: its default.
        meaning: its line in the docstring.
    """

    name: str
    hint: Any
    default: Any
    meaning: str

    @property
    def choice(self) -> Choice | None:
        """The parts that can be given, where it takes one."""
        found = [m for m in getattr(self.hint, "__metadata__", ()) if isinstance(m, Choice)]
        return found[0] if found else None

    def choices(self) -> list[str]:
        """The values that can be given, where the option is a part or one of several words."""
        return self.choice.names() if self.choice else choices(self.hint)


class Config:
    """A function or class of the zoo and some of its arguments.

    Args:
        target: dotted name, imported when it is first needed.
        arguments: values of its parameters, or a `Config` of what to build for one.
    """

    def __init__(self, target: str, /, **arguments: Any) -> None:
        self.target, self.arguments = target, arguments

    def __repr__(self) -> str:
        return "".join([f"Config({self.target!r}", *(f", {k}={v!r}" for k, v in self.arguments.items()), ")"])

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Build.

        Raises:
            UsageError: if the arguments do not go together.
        """
        options = self._options()
        arguments = {name: self._argument(value, options.get(name)) for name, value in self.arguments.items()}
        try:
            return self.resolve()(*args, **more, **arguments)
        except ValueError as error:
            raise error if isinstance(error, UsageError) else UsageError(str(error)) from error

    @property
    def name(self) -> str:
        """The name of the function or class."""
        return self.target.rpartition(".")[2]

    def resolve(self) -> Any:
        """The function or class."""
        return imported(self.target)

    def options(self, supplied: Sequence[str] = ()) -> Iterator[tuple[str, Option, Any]]:
        """Every option: its qualified name, what it is, its value (a part's is its name)."""
        for name, option in self._options().items():
            nested = self._nested(name, option)
            if name in supplied:
                continue
            if nested is None:
                if is_convertible(option.hint) or option.choice:
                    yield name, option, self.arguments.get(name, option.default)
                continue
            if option.choice:
                yield name, option, nested.name
            below = option.choice.supplied if option.choice else ()
            for inner, deeper, value in nested.options(below):
                yield f"{name}.{inner}", deeper, value

    def values(self) -> dict[str, Any]:
        """Every option's value by its qualified name, in the types of JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, _, v in self.options()}

    def replaced(self, name: str, value: Any) -> "Config":
        """The same with another value, text or already typed, of the option of that qualified name.

        Raises:
            UsageError: if the option cannot take it.
        """
        head, _, rest = name.partition(".")
        option = self._options()[head]
        nested = self._nested(head, option)
        new: Any
        if rest:
            assert nested is not None
            new = nested.replaced(rest, value)
        elif option.choice and nested is not None and value == nested.name:
            new = nested  # as it is, perhaps a part of one's own
        elif option.choice:
            target = option.choice.find(head, value)
            new = nested if nested is not None and nested.target == target else Config(target)
        else:
            new = convert(head, value, option.hint, default=option.default)
        return Config(self.target, **{**self.arguments, head: new})

    def _options(self) -> dict[str, Option]:
        return options_of(self.resolve(), given=self.arguments)

    def _nested(self, name: str, option: Option) -> "Config | None":
        value = self.arguments.get(name, option.default)
        if isinstance(value, Config):
            return value
        if option.choice and value is not None:
            return Config(dotted(value))
        return None

    @staticmethod
    def _argument(value: Any, option: Option | None) -> Any:
        """A part is handed over to be called by the builder; anything else is built first."""
        if not isinstance(value, Config):
            return value
        if option is not None and option.choice:
            return value.resolve() if not value.arguments else partial(value.resolve(), **value.arguments)
        return value()


def construct(part: Part, *args: Any, **context: Any) -> Any:
    """``part(*args, ...)`` with those of the keywords `context` that its signature names.

    So a builder offers what it knows, such as the encoder, and only a part that needs it takes it. A module
    that is made already, ``prior=LearnedNormal(8)``, is returned as it is.

    Raises:
        UsageError: if the part needs what the builder does not know, as VampPrior does of a guide's encoder.
    """
    if hasattr(part, "forward") and not inspect.isclass(part):
        return part
    known = inspect.signature(part).parameters
    missing = [
        p.name
        for p in known.values()
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in context
    ]
    if missing:
        name = getattr(part, "func", part).__name__  # of a partial, what it is of
        raise UsageError(f"{name} needs {' and '.join(missing)}, which this system does not supply")
    return part(*args, **{name: value for name, value in context.items() if name in known})


def passes_on(target: Callable[..., Any], *, supplied: Sequence[str] = ()) -> Callable[[F], F]:
    """For a function whose ``**options`` go to `target`: its signature shows the options of `target`.

    Args:
        target: which has the options.
        supplied: those that the function itself supplies.
    """

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {*own.parameters, *supplied}
        more = [p for p in _with_defaults(target) if p.name not in taken]
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in more]
        function.__signature__ = own.replace(parameters=[*kept, *keyword])  # type: ignore[attr-defined]
        function.__passes_on__ = target  # type: ignore[attr-defined]
        return function

    return decorate


def options_of(target: Callable[..., Any], given: Iterable[str] = ()) -> dict[str, Option]:
    """The parameters of a function or class that have a default, or are `given`, by name."""
    meanings = _meanings(target)
    return {
        p.name: Option(p.name, p.annotation, p.default, meanings.get(p.name, ""))
        for p in _with_defaults(target, given)
    }


def parts_with(option: str, choice: Choice) -> list[str]:
    """The names of the parts of a choice that have an option of that name."""
    return sorted(
        name
        for name, target in choice.parts().items()
        if option not in choice.supplied and option in options_of(imported(target))
    )


def override(options: T, changes: Mapping[str, Any]) -> T:
    """The dataclass `options` with other values, typed or text, of the fields named in `changes`.

    Raises:
        UsageError: for a name that no field has, or a value that its field cannot take.
    """
    known = options_of(type(options))
    new = {}
    for name, value in changes.items():
        if name not in known:
            raise UsageError(f"unknown option {name!r}{nearest(name, known)}")
        new[name] = convert(name, value, known[name].hint, default=known[name].default)
    return dataclasses.replace(options, **new)  # type: ignore[type-var]


def require(condition: bool, expected: str, got: Any) -> None:
    """Check an option.

    Raises:
        UsageError: unless `condition`.
    """
    if not condition:
        raise UsageError(f"expected {expected}; got {got}")


def require_at_least_one(**counts: int | None) -> None:
    """Check counts, by name; None is none.

    Raises:
        UsageError: naming the first that is below 1.
    """
    for name, count in counts.items():
        require(count is None or count >= 1, f"{name} >= 1", count)


def _with_defaults(target: Callable[..., Any], given: Iterable[str] = ()) -> list[inspect.Parameter]:
    parameters = inspect.signature(target).parameters.values()
    return [p for p in parameters if p.default is not p.empty or p.name in given]


def _meanings(target: Any) -> dict[str, str]:
    """The lines of a Google-style docstring about each parameter."""
    init = getattr(target, "__init__", None)
    inherited = getattr(target, "__passes_on__", None) or getattr(init, "__passes_on__", None)
    meanings = _meanings(inherited) if inherited else {}
    for section in re.findall(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)*)", _doc(target), re.M):
        for name, text in re.findall(r"^ {4}(\w+): ((?:.*\n?)(?: {8}.*\n?)*)", section, re.M):
            meanings[name] = " ".join(text.split())
    return meanings


def _doc(target: Any) -> str:
    """The docstring; of a class, those of its bases before its own."""
    classes = reversed(target.__mro__[:-1]) if inspect.isclass(target) else [target]
    return "\n\n".join(inspect.cleandoc(c.__doc__ or "") for c in classes)
