"""Detection metrics. The protocol is part of every number: numbers of two protocols never mix. Imports no torch."""
