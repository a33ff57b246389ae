"""A journal for many processes: runs are kept in Postgres, and each is written by one process at a time.

    journal = PostgresJournal("postgresql://localhost/app")
    async with Swarm(journal=journal) as swarm: ...
    Journal(journal).runs()

A process claims the runs that it goes on with, for as long as it shows that it is alive. A run whose process was killed can
be taken by another one after `lease` seconds; if the first was only asleep, nothing that it still says of the run is written.
Needs the `workers` extra.

Floor plan: `postgres` the store, and the connection as the tables want it; `schema` its tables and how they are made and
checked; `leases` claims and fencing; `words` what is said when something is wrong.
"""

from swarmlet.bridges.journals.postgres import PostgresJournal as PostgresJournal

__all__ = ["PostgresJournal"]
