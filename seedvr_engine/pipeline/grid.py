"""A constant frame rate: which frames are repeated and which are left out.

Every place of the grid shows the frame that is on at its time, or the next one where that is about to come:
half a step of the finer rate is forgiven, so that a clip which has the rate already keeps every frame however
its clock lies. Each place is taken once, and what is written depends on the frames' times alone, whatever
part of a clip is restored anew.
"""

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Grid:
    """Times `origin` + k / `rate`, in seconds on the source's clock.

    source_rate: average frames a second of the source.
    """

    rate: Fraction
    source_rate: Fraction
    origin: Fraction

    def times(self, time: Fraction, following: Fraction) -> list[Fraction]:
        """When a frame is shown: never, once or several times.

        time: the frame's own. following: the next frame's, or where this one ends.
        """
        places = range(self._place(time), self._place(following))
        return [self.origin + place / self.rate for place in places]

    def _place(self, time: Fraction) -> int:
        forgiven = 1 / max(self.rate, self.source_rate) / 2
        return math.ceil((time - forgiven - self.origin) * self.rate)
