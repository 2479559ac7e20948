"""What the devices of this machine were measured to do, kept for the next estimate."""

import json
from contextlib import suppress

from seedvr_engine.jobs.database import Database
from seedvr_engine.pipeline.estimate import Rates, blend

RunKind = tuple[str, str, str]


class RateStore:
    """Rates by kind of run (device, model, precision), see `pipeline.estimate.kind_of`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, kind: RunKind) -> Rates | None:
        """What is known of a kind; None before its first run."""
        select = "SELECT rates FROM rates WHERE (device, model, precision) = (?, ?, ?)"
        row = self._database.connection().execute(select, kind).fetchone()
        if row is not None:
            # An earlier version may have written something else.
            with suppress(KeyError, TypeError, ValueError):
                return Rates.from_dict(json.loads(row["rates"]))
        return None

    def learn(self, kind: RunKind, rates: Rates) -> None:
        """Takes in what a run has shown."""
        with self._database.transaction() as connection:
            text = json.dumps(blend(self.get(kind), rates).as_dict())
            connection.execute("INSERT OR REPLACE INTO rates VALUES (?, ?, ?, ?)", (*kind, text))
