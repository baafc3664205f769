"""``python -m rnnbench`` is ``rnnbench``."""

import sys

from rnnbench.cli.main import main

sys.exit(main())
