"""Features as others and we have stored them, and how they come into a store.

``locate`` finds each video's array, ``arrays`` reads it, ``layout`` and ``timing`` say what its axes mean,
``importing`` writes the store; ``extracted`` is the file of one video that extraction writes.
"""
