"""What came of faults, counted."""

from collections import Counter
from dataclasses import dataclass, field

HEADER = "| fault | tried | identical or harmless | detected | wrong | |\n|---|---|---|---|---|---|"


@dataclass
class Tally:
    """One line of the table.

    Attributes:
        fault: what was done.
        outcomes: of "identical", "detected" and "wrong", how often each came.
        tried: faults, where they are not the sum of the outcomes.
        note: what else was measured.
        mistakes: what went wrong, a line each.
    """

    fault: str
    outcomes: Counter[str] = field(default_factory=Counter)
    tried: int = 0
    note: str = ""
    mistakes: list[str] = field(default_factory=list)

    def add(self, outcome: str, said: str = "") -> None:
        """Count an outcome; of a wrong one keep what was said."""
        self.outcomes[outcome] += 1
        if outcome == "wrong":
            self.mistakes.append(f"{self.fault}: {said}")

    def row(self) -> str:
        """The line."""
        counts = (self.outcomes[name] for name in ("identical", "detected", "wrong"))
        tried = self.tried or self.outcomes.total()
        return f"| {self.fault} | {tried} | {' | '.join(map(str, counts))} | {self.note} |"
