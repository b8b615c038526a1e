"""Features that no video has: of made-up videos (``generate``), or of real annotations (``simulated``).

``evidence`` is the model of what a snippet shows, and of how hard that is made; ``config`` the made-up data set.
"""
