"""The built-in pipelines by name, for their own folders and for tests: everything else asks the registry."""

from coffee_core.pipelines import Pipeline

V1, V2, V3, V4, V5 = (Pipeline(f"v{number}") for number in range(1, 6))
