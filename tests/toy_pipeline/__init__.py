"""A pipeline in one folder, as an outsider would add it: ``COFFEE_PIPELINE_PACKAGES`` registers it."""
