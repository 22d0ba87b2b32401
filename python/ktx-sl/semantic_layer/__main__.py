"""`python -m semantic_layer`."""

from .cli import main

raise SystemExit(main())
