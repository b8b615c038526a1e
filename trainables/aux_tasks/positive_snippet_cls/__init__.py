"""Classification of snippets inside the segments that the host believes in."""
