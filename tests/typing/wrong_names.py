"""Names that are not there. Every checker must flag each line that is marked, also where names are imported late."""

from swarmlet import Swarmm  # error
from swarmlet import run_synchronously  # error
from swarmlet.trace import Jurnal  # error
