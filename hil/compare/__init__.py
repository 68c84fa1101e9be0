"""Studies: many runs beside each other. A file says which; processes make them; a table and a page follow.

Nothing is imported here: the report reads ``results`` and ``claims`` and must not pay for what trains.
"""
