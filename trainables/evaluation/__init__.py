"""Metrics of predictions. The protocol is part of every number: numbers of two protocols never mix. Imports no torch.

``detection``, ``frames``, ``videos`` and ``charades`` hold the protocols, by what they score; ``precision`` is what
those that rank share; ``files`` reads and writes predictions; ``diagnosis`` says why a detector loses. The modules here
are for all of them: what a protocol is, what is refused, which videos take part, the scorecard.
"""
