"""Numbers of the two papers, shown beside a run's own: other data, not comparable."""

from dataclasses import dataclass

from kit.core.scored import SCORE_KEYS
from kit.report.content import Scores


@dataclass(frozen=True)
class Published:
    """A row of a paper's table.

    Attributes:
        name: Of the method.
        source: Paper, table and data.
        scores: Percent, by official measure.
    """

    name: str
    source: str
    scores: Scores


ROWS = (
    Published(
        "re-prompting",
        "arXiv 2603.23788, table 1, MOSEv2 test",
        dict(zip(SCORE_KEYS, (51.17, 49.55, 52.80, 66.23, 32.60, 55.13, 52.34), strict=True)),
    ),
    Published("SAM2.1Long", "SAM2Long, table 4, MOSEv1 val", {"J&F": 75.2}),
    Published("SAM 2.1", "SAM2Long, table 4, MOSEv1 val", {"J&F": 74.5}),
)
