"""CleanNet's contrast score as a judge of any host's segments."""
