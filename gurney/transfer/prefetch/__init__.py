"""Which earlier studies are worth having: decided here, without asking anybody.

``regions`` tells body regions, kinds of images, sides and sizes from words; ``relevance`` gives each candidate a score
with its reasons; ``selection`` takes the best within a rule's limits. What asks archives and enters the requests is
:func:`gurney.prefetch.carry_out`.
"""

from gurney.transfer.prefetch.regions import InvalidRegions, Located, Regions
from gurney.transfer.prefetch.relevance import Candidate, Current, Judged, Reason, Relevance, rank
from gurney.transfer.prefetch.selection import Limits, Presence, Selected, Verdict, select

__all__ = [
    "Candidate",
    "Current",
    "InvalidRegions",
    "Judged",
    "Limits",
    "Located",
    "Presence",
    "Reason",
    "Regions",
    "Relevance",
    "Selected",
    "Verdict",
    "rank",
    "select",
]
