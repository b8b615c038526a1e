"""From annotated videos in three splits to the inputs of one pass, whether they are made of features or of frames.

``labelled`` is the base of every data set, ``sampling`` says which parts of a video are read, ``inputs`` plans a pass
and makes its labels.
"""
