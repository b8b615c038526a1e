"""The control loop on Ray: one code path builds a trial, three ways to run it."""
