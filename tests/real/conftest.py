"""Makes the service's harness importable, and slower tests allowed to take their time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
