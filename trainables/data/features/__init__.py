"""The data set of features: ``store`` is the folder of Arrow files, ``dataset`` and ``loader`` make batches of it.

``config`` is the data set of imported features, ``store_config`` the base of every other one that is a store.
"""
