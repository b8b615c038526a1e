"""Study files, search spaces and configuration fields: frozen dataclasses, no heavy imports."""
