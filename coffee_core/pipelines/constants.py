"""The built-in pipelines by name, for their own folders and for tests: everything else asks the registry."""

from coffee_core.pipelines import Pipeline

V1, V2, V3, V5 = Pipeline("v1"), Pipeline("v2"), Pipeline("v3"), Pipeline("v5")
