"""The parts that an option can name: a prior, a likelihood, a network, an objective.

    def vae(image_shape: Shape, *, prior: Prior = StandardNormal) -> ...      # --set prior=VampPrior

An option of one of the types below takes a class or function of the modules that the type lists, by its name
or itself. A new part in one of them can be named at once.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from zoo.errors import UsageError, nearest


@dataclass(frozen=True)
class Choice:
    """The parts that an option can name: public names of the zoo that live in certain modules.

    Attributes:
        homes: names of the modules, ``zoo.parts.priors``.
        made_of: parameters that a part may require, of which its first is one: the builder passes them. A
            part that requires anything else cannot be named. Empty where there is no such restriction.
        kind: dotted name of the class whose subclasses can be named; empty where functions can be, too.
        supplied: parameters that the builder supplies, which are therefore no options.
        aliases: other names, such as a paper's.
    """

    homes: tuple[str, ...]
    made_of: tuple[str, ...] = ()
    kind: str = ""
    supplied: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    def names(self) -> list[str]:
        """The names that can be given."""
        return sorted([*self.parts(), *dict(self.aliases)])

    def find(self, option: str, name: Any) -> str:
        """The dotted name of the part that is given, or named.

        Raises:
            UsageError: if there is none, naming the option.
        """
        parts = self.parts()
        if dotted(name) in parts.values():  # the part itself
            return dotted(name)
        name = dict(self.aliases).get(name, name) if isinstance(name, str) else name
        if name not in parts:
            raise UsageError(f"unknown {option} {name!r}{nearest(str(name), self.names())}")
        return parts[name]

    def parts(self) -> dict[str, str]:
        """The dotted name of every part, by its name."""
        found = {}
        for home in self.homes:
            module = importlib.import_module(home)
            listed = getattr(module, "__all__", None)
            for name in listed or vars(module):
                value = getattr(module, name)
                ours = listed or (_home(value) == home and not name.startswith("_"))
                if callable(value) and ours and self._fits(value):
                    found[name] = dotted(value)
        return found

    def _fits(self, part: Any) -> bool:
        """Whether the builder can make the part, or use it, from what it has."""
        if self.kind:
            kind = imported(self.kind)
            return inspect.isclass(part) and issubclass(part, kind) and part is not kind
        if not self.made_of:
            return True
        parameters = inspect.signature(part).parameters
        needed = {name for name, p in parameters.items() if p.default is p.empty}
        return next(iter(parameters), None) in self.made_of and needed <= {*self.made_of, *self.supplied}


Part = Callable[..., Any]
OF_PRIORS = ("posterior", "image_shape", "takes")  # what a builder supplies
Prior = Annotated[Part, Choice(("zoo.parts.priors",), made_of=("latent",), supplied=OF_PRIORS)]
PriorOfPseudoInputs = Annotated[
    Part, Choice(("zoo.parts.priors",), made_of=("latent",), supplied=(*OF_PRIORS, "num_pseudo_inputs"))
]
Posterior = Annotated[
    Part,
    Choice(("zoo.parts.heads", "zoo.parts.posteriors"), made_of=("net", "latent"), supplied=("kernel",)),
]
Likelihood = Annotated[
    Part,
    Choice(
        ("zoo.parts.likelihoods",),
        made_of=("net", "image_shape"),
        supplied=("image_shape",),
        aliases=(
            ("bernoulli", "BernoulliLikelihood"),
            ("categorical", "CategoricalLikelihood"),
            ("continuous_bernoulli", "ContinuousBernoulliLikelihood"),
            ("gaussian", "GaussianLikelihood"),
            ("logistic", "LogisticLikelihood"),
            ("logistic_mixture", "LogisticMixtureLikelihood"),
        ),
    ),
]
Family = Annotated[
    Part,
    Choice(
        ("zoo.parts.families",),
        made_of=("channels",),
        aliases=(
            ("bernoulli", "Bernoullis"),
            ("categorical", "Categoricals"),
            ("logistic_mixture", "LogisticMixtures"),
        ),
    ),
]
Network = Annotated[
    Part,
    Choice(
        ("zoo.nn.causal",),
        made_of=("image_shape", "event_shape", "features"),
        supplied=("groups", "context"),
    ),
]
Encoder = Annotated[Part, Choice(("zoo.nn.encoders",))]
Scale = Annotated[
    Part,
    Choice(("zoo.nn.scales",), aliases=(("free", "softplus_scale"), ("published", "wide_softplus_scale"))),
]
OBJECTIVES = Choice(
    (
        "zoo.infer.objectives",
        "zoo.infer.semi_supervised",
        "zoo.infer.regularised",
        "zoo.infer.channel_free_bits",
        "zoo.infer.path_gradients",
        "zoo.infer.renyi",
        "zoo.infer.capacity",
        "zoo.infer.soft_free_bits",
        "zoo.infer.posterior_divergence",
        "zoo.infer.aggressive",
    ),
    kind="zoo.infer.objectives.Objective",
)
Objective = Annotated[Part, OBJECTIVES]


def imported(target: str) -> Any:
    """The function or class of a dotted name."""
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def dotted(value: Any) -> str:
    """The dotted name of a function or class; ends with a dot if it has no name."""
    return f"{_home(value)}.{getattr(value, '__name__', '')}"


def _home(value: Any) -> str:
    return str(getattr(value, "__module__", ""))
