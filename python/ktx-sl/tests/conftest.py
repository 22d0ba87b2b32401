"""Makes the helper packages beside the tests importable: `reference`, `worked`, `generation`, `databases`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
