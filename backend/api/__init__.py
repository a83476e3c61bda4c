"""The order API: three endpoints on Starlette, one for each pipeline."""
