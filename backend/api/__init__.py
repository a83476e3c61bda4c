"""The order API: endpoints on Starlette, the same for each pipeline."""
